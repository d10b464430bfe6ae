"""E1: what a worker was handed and does not work on is retried at once, against a real control plane."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import slugid
import taskcluster

from control_plane_server import WORKER, Served, serve
from liftlock.adapters.queue_http.client import HttpQueueClient
from liftlock.adapters.queue_http.signed_http import SignedHttp
from liftlock.adapters.system.clock import SystemClock
from liftlock.adapters.system.entropy import SystemEntropy
from liftlock.domain.credentials.certificates import Credentials
from liftlock.errors import ConflictError, RefusedError
from liftlock.processes.settings import StaticClientSettings
from task_builders import QUEUE, document

pytestmark = pytest.mark.process
STRANGER = StaticClientSettings(
    "static/stranger",
    "stranger-token-0123456789",
    (f"queue:claim-work:{QUEUE}", "queue:worker-id:local/other"),
    "s",
)


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Served]:
    root = StaticClientSettings("static/liftlock/root", "root-token-0123456789", ("*",), "root")
    issuer = StaticClientSettings("static/liftlock/issuer", "issuer-token-0123456789", ("*",), "issuer")
    with serve(tmp_path, static_clients=(root, issuer, WORKER, STRANGER)) as running:
        yield running


def client(served: Served, who: StaticClientSettings = WORKER) -> tuple[HttpQueueClient, SignedHttp]:
    http = SignedHttp(served.root_url, SystemClock(), SystemEntropy())
    return HttpQueueClient(http, Credentials(who.client_id, who.access_token)), http


async def create(served: Served, count: int) -> taskcluster.Queue:  # type: ignore[name-defined]
    queue = taskcluster.Queue(served.options)  # type: ignore[attr-defined]
    for _ in range(count):
        await asyncio.to_thread(queue.createTask, slugid.nice(), document(datetime.now(UTC)))
    return queue


async def runs(queue: Any, task_id: str) -> list[tuple[str, str]]:
    status = await asyncio.to_thread(queue.status, task_id)
    return [
        (run["state"], run.get("reasonResolved", run["reasonCreated"])) for run in status["status"]["runs"]
    ]


async def test_all_but_what_is_kept_is_retried_at_once(control: Served) -> None:
    queue = await create(control, 3)
    worker, http = client(control)
    claims = await worker.claim_work(QUEUE, "local", "w", 3)
    others = await create(control, 1)
    [other] = await worker.claim_work(QUEUE, "local", "another", 1)
    given = await worker.give_back(QUEUE, "local", "w", [claims[0].run])
    assert set(given) == {claims[1].run, claims[2].run}
    assert await runs(queue, claims[0].run.task_id) == [("running", "scheduled")]
    for claim in claims[1:]:
        assert await runs(queue, claim.run.task_id) == [
            ("exception", "worker-shutdown"),
            ("pending", "retry"),
        ]
        with pytest.raises(ConflictError):
            await worker.reclaim(claim.run, claim.lease.credentials)
    assert await runs(others, other.run.task_id) == [("running", "scheduled")]
    assert await worker.give_back(QUEUE, "local", "w", [claims[0].run]) == ()
    await http.close()


async def test_nobody_gives_back_the_runs_of_another_worker(control: Served) -> None:
    queue = await create(control, 1)
    worker, http = client(control)
    [claim] = await worker.claim_work(QUEUE, "local", "w", 1)
    stranger, second = client(control, STRANGER)
    with pytest.raises(RefusedError):
        await stranger.give_back(QUEUE, "local", "w", [])
    assert await stranger.give_back(QUEUE, "local", "other", []) == ()
    assert await runs(queue, claim.run.task_id) == [("running", "scheduled")]
    await http.close()
    await second.close()
