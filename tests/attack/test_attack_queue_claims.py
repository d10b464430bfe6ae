"""Workers that lie, linger or were told to stop can change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from control_plane_server import serve
from liftlock.adapters.sql.artifact_store import SqlArtifactStore
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.task_store import SqlTaskStore
from liftlock.adapters.sql.worker_store import SqlWorkerStore
from liftlock.domain.tasks.artifacts import Content, Declared
from liftlock.domain.tasks.definition import define
from liftlock.domain.tasks.lifecycle import Reclaim, Report
from liftlock.errors import ConflictError
from liftlock.ports.artifact_store import Ticket
from liftlock.ports.envelope import Envelope
from liftlock.values.instants import to_ms
from queue_over_http import Stage, status_of
from task_builders import NOW, QUEUE, document, task_id

LEASE = timedelta(minutes=20)
LAPSED = NOW + LEASE
ID = task_id(1)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with serve(tmp_path) as served:
        yield Stage(served)


async def claimed(engine: Engine) -> SqlTaskStore:
    """A store with one task, claimed at NOW."""
    store = SqlTaskStore(engine)
    await store.create(define(ID, document(), NOW), [], Envelope(now=NOW))
    assert await store.claim(QUEUE, "g", "zombie", 1, to_ms(LAPSED), Envelope(now=NOW))
    return store


@pytest.mark.parametrize("event", [Reclaim(0, to_ms(LAPSED + LEASE)), Report(0, "completed", "completed")])
async def test_a_zombie_worker_changes_nothing_once_its_lease_has_lapsed(
    engine: Engine, event: object
) -> None:
    store = await claimed(engine)
    before = await store.task(ID)
    with pytest.raises(ConflictError, match="lapsed"):
        await store.transition(ID, event, Envelope(now=LAPSED))  # type: ignore[arg-type]  # parametrised
    assert await store.task(ID) == before


async def test_a_zombie_worker_fills_no_upload_that_it_began_in_time(engine: Engine) -> None:
    await claimed(engine)
    artifacts = SqlArtifactStore(engine)
    declared = Declared("s3", "text/plain", to_ms(NOW + timedelta(days=1)))
    ticket = Ticket("t" * 64, "artifact", ID, 0, "public/a", "text/plain", to_ms(NOW + timedelta(hours=1)))
    await artifacts.declare(ID, 0, "public/a", declared, None, ticket, Envelope(now=NOW))
    content = Content("b" * 64, 1, "identity", "c" * 64, 1)
    with pytest.raises(ConflictError, match="lapsed"):
        await artifacts.fill(ticket.token, content, Envelope(now=LAPSED))
    assert await artifacts.listed(ID, 0, "", 9) == []


async def test_a_zombie_worker_appends_nothing_to_its_live_log(engine: Engine) -> None:
    await claimed(engine)
    artifacts = SqlArtifactStore(engine)
    await artifacts.append_log(ID, 0, "log", 0, b"in time", Envelope(now=NOW))
    with pytest.raises(ConflictError, match="lapsed"):
        await artifacts.append_log(ID, 0, "log", 7, b"too late", Envelope(now=LAPSED))
    part = await artifacts.read_log(ID, 0, "log", 0)
    assert part is not None
    assert part.data == b"in time"


async def test_a_zombie_worker_can_not_touch_the_run_that_followed_its_own(engine: Engine) -> None:
    store = await claimed(engine)
    await store.sweep(to_ms(LAPSED), 10)
    [second] = await store.claim(QUEUE, "g", "second", 1, to_ms(LAPSED + LEASE), Envelope(now=LAPSED))
    with pytest.raises(ConflictError):
        await store.transition(ID, Report(0, "failed", "failed"), Envelope(now=LAPSED))
    assert await store.task(ID) == second.task


async def test_a_quarantined_worker_gets_no_tasks_though_its_credentials_are_good(engine: Engine) -> None:
    store, workers = SqlTaskStore(engine), SqlWorkerStore(engine)
    await store.create(define(ID, document(), NOW), [], Envelope(now=NOW))
    until = NOW + timedelta(minutes=5)
    await workers.quarantine(QUEUE, "g", "w", to_ms(until), {}, Envelope(now=NOW))
    assert await store.claim(QUEUE, "g", "w", 1, to_ms(LAPSED), Envelope(now=NOW)) == []
    with pytest.raises(ConflictError, match="quarantined"):
        await store.claim_one(ID, 0, "g", "w", to_ms(LAPSED), Envelope(now=NOW))
    assert len(await store.claim(QUEUE, "g", "w", 1, to_ms(LAPSED), Envelope(now=until))) == 1


def test_a_resolution_is_never_turned_by_a_second_report(stage: Stage) -> None:
    task_id, run = stage.claim()
    run.reportFailed(task_id, 0)
    assert status_of(lambda: run.reportCompleted(task_id, 0)) == 409
    assert status_of(lambda: run.reportException(task_id, 0, {"reason": "intermittent-task"})) == 409
    assert stage.root.status(task_id)["status"]["state"] == "failed"


def test_a_runs_credentials_are_good_for_that_run_alone(stage: Stage) -> None:
    first, run = stage.claim("w1")
    second, _other = stage.claim("w2")
    assert status_of(lambda: run.reportCompleted(second, 0)) == 403
    assert status_of(lambda: run.reclaimTask(second, 0)) == 403
    assert status_of(lambda: run.reportCompleted(first, 1)) == 403
    assert status_of(lambda: stage.declare(run, second, "public/a")) == 403
    assert status_of(lambda: run.cancelTask(first)) == 403
    assert status_of(lambda: run.claimWork(QUEUE, {"workerGroup": "g", "workerId": "w1"})) == 403


def test_a_worker_claims_as_itself_and_from_its_queue_only(stage: Stage) -> None:
    stage.task()
    worker = stage.as_holder_of(f"queue:claim-work:{QUEUE}", "queue:worker-id:g/mine")
    assert status_of(lambda: worker.claimWork(QUEUE, {"workerGroup": "g", "workerId": "other"})) == 403
    assert (
        status_of(lambda: worker.claimWork("local/privileged", {"workerGroup": "g", "workerId": "mine"}))
        == 403
    )
    assert len(worker.claimWork(QUEUE, {"workerGroup": "g", "workerId": "mine"})["tasks"]) == 1
