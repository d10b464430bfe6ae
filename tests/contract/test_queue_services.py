"""Claiming, sweeping and forgetting, on both databases and at set times."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fakes.counted_entropy import CountedEntropy
from fakes.settable_time import SettableClock, TimedWakeups
from liftlock.adapters.blobs.local import LocalBlobs
from liftlock.adapters.sql.artifact_store import SqlArtifactStore
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.index_store import SqlIndexStore
from liftlock.adapters.sql.lease import SqlLeases
from liftlock.adapters.sql.secret_store import SqlSecretStore
from liftlock.adapters.sql.small_stores import SqlPurgeStore
from liftlock.adapters.sql.task_store import SqlTaskStore
from liftlock.adapters.sql.worker_store import SqlWorkerStore
from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.scopes.satisfaction import ScopeSet
from liftlock.domain.tasks.artifacts import Declared
from liftlock.domain.tasks.definition import define
from liftlock.errors import ConflictError, InputValidationError, RefusedError, ReplayedRequestError
from liftlock.ports.artifact_store import Ticket
from liftlock.ports.envelope import Envelope, Nonce
from liftlock.services.authorize import Caller
from liftlock.services.check_task_graph import CheckTaskGraph
from liftlock.services.claim_work import ClaimWork
from liftlock.services.create_task import CreateTask
from liftlock.services.run_credentials import RunCredentials
from liftlock.services.sweep import BLOB_GRACE, SweepExpired, SweepTasks
from liftlock.values.instants import to_ms
from task_builders import NOW, QUEUE, document, task_id

ID = task_id(1)


def caller(*scopes: str, **changes: Any) -> Caller:
    given: dict[str, Any] = {
        "client_id": "tester",
        "scopes": ScopeSet(scopes or ["*"]),
        "own": scopes,
        "access_version": 1,
        "expires": NOW + timedelta(days=1),
    }
    return Caller(**(given | changes))


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock(NOW)


@pytest.fixture
def waiting(clock: SettableClock) -> TimedWakeups:
    return TimedWakeups(clock)


@pytest.fixture
def work(engine: Engine, clock: SettableClock, waiting: TimedWakeups) -> ClaimWork:
    credentials = RunCredentials(Credentials("static/issuer", "token"), CountedEntropy())
    return ClaimWork(SqlTaskStore(engine), waiting, clock, credentials)


async def test_a_claim_waits_twenty_seconds_and_then_answers_with_nothing(
    work: ClaimWork, waiting: TimedWakeups
) -> None:
    assert await work.claim(caller(), QUEUE, "g", "w", 1, NOW) == []
    assert sum(waiting.waits) == 20


async def test_a_quarantined_worker_waits_as_long_as_any_other(
    work: ClaimWork, waiting: TimedWakeups, engine: Engine
) -> None:
    await CreateTask(SqlTaskStore(engine))(caller(), ID, document(), NOW)
    until = to_ms(NOW + timedelta(hours=1))
    await SqlWorkerStore(engine).quarantine(QUEUE, "g", "w", until, {}, Envelope(now=NOW))
    assert await work.claim(caller(), QUEUE, "g", "w", 1, NOW) == []
    assert sum(waiting.waits) == 20


async def test_a_claims_credentials_end_with_its_lease_and_name_the_run(
    work: ClaimWork, engine: Engine
) -> None:
    await CreateTask(SqlTaskStore(engine))(caller(), ID, document(scopes=["a:b"]), NOW)
    [claim] = await work.claim(caller(), QUEUE, "g", "w", 1, NOW)
    until = to_ms(NOW + timedelta(minutes=20)) // 1000
    assert claim["credentials"]["clientId"] == f"task-client/{ID}/0/on/g/w/until/{until}"
    assert claim["takenUntil"] == "2026-03-01T12:20:00.000Z"
    certificate = claim["credentials"]["certificate"]
    for scope in (
        f"queue:reclaim-task:{ID}/0",
        f"queue:resolve-task:{ID}/0",
        f"queue:create-artifact:{ID}/0",
        "a:b",
    ):
        assert f'"{scope}"' in certificate


async def test_a_request_that_got_nothing_has_not_used_its_nonce(work: ClaimWork, engine: Engine) -> None:
    signed = caller(nonce=Nonce("tester", int(NOW.timestamp()), "n"))
    assert await work.claim(signed, QUEUE, "g", "w", 1, NOW) == []
    create = CreateTask(SqlTaskStore(engine))
    await create(caller(), ID, document(), NOW)
    assert len(await work.claim(signed, QUEUE, "g", "w", 1, NOW)) == 1
    await create(caller(), task_id(2), document(), NOW)
    with pytest.raises(ReplayedRequestError):
        await work.claim(signed, QUEUE, "g", "w", 1, NOW)


async def test_claiming_needs_the_queues_and_the_workers_scope(work: ClaimWork) -> None:
    for scopes in ([f"queue:claim-work:{QUEUE}"], ["queue:worker-id:g/w"]):
        with pytest.raises(RefusedError):
            await work.claim(caller(*scopes), QUEUE, "g", "w", 1, NOW)


async def test_a_task_is_created_with_the_callers_scopes_and_once(engine: Engine) -> None:
    create = CreateTask(SqlTaskStore(engine))
    with pytest.raises(RefusedError):
        await create(caller("nothing"), ID, document(), NOW)
    first = await create(caller(), ID, document(), NOW)
    assert await create(caller(), ID, document(), NOW) == first
    with pytest.raises(ConflictError):
        await create(caller(), ID, document(retries=1), NOW)


def reading(label: str, output: str) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "task": {"label": label}, "output": output, "mount": "/inputs/x"}]}


async def test_a_task_that_reads_what_no_dependency_declares_is_not_created(engine: Engine) -> None:
    store = SqlTaskStore(engine)
    create = CreateTask(store)
    await create(caller(), ID, document(payload={"outputs": {"wheel": "public/w"}}), NOW)
    label = document()["metadata"]["name"]
    for payload, said in (
        (reading(label, "whl"), f"'{label}' declares no output 'whl'; it declares wheel"),
        (reading("nobody", "wheel"), f"no dependency is called 'nobody'; the task depends on {label}"),
    ):
        with pytest.raises(InputValidationError, match=said):
            await create(caller(), task_id(2), document(payload=payload, dependencies=[ID]), NOW)
        assert await store.task(task_id(2)) is None
    with pytest.raises(
        InputValidationError, match=f"no dependency is called '{label}'; the task depends on none"
    ):
        await create(caller(), task_id(2), document(payload=reading(label, "wheel")), NOW)
    await create(caller(), task_id(2), document(payload=reading(label, "wheel"), dependencies=[ID]), NOW)


async def test_a_graph_is_checked_against_the_tasks_that_exist(engine: Engine) -> None:
    store = SqlTaskStore(engine)
    check = CheckTaskGraph(store)
    label = document()["metadata"]["name"]
    graph = {"b": {"dependencies": {"made": ID}, "task": {"payload": reading(label, "wheel")}}}
    with pytest.raises(InputValidationError, match="is neither in the graph nor created"):
        await check(caller(), graph)
    await CreateTask(store)(caller(), ID, document(payload={"outputs": {"wheel": "public/w"}}), NOW)
    assert await check(caller(), graph) == 1
    with pytest.raises(RefusedError):
        await check(caller("nothing"), graph)


async def test_of_two_control_planes_one_sweeps(engine: Engine, clock: SettableClock) -> None:
    store, leases = SqlTaskStore(engine), SqlLeases(engine)
    await CreateTask(store)(caller(), ID, document(), NOW)
    clock.present = NOW + timedelta(hours=1)
    one, other = (SweepTasks(store, leases, clock, name) for name in ("one", "other"))
    assert await leases.hold("sweep tasks", "one", now=clock.present, duration=timedelta(seconds=30))
    assert await other.step() == 0
    assert await one.step() == 1
    assert await one.step() == 0


async def test_bytes_that_nothing_refers_to_go_after_a_grace_and_others_stay(
    engine: Engine, clock: SettableClock, tmp_path: Path
) -> None:
    blobs, artifacts, store = LocalBlobs(tmp_path / "b"), SqlArtifactStore(engine), SqlTaskStore(engine)
    at = Envelope(now=NOW)
    await store.create(define(ID, document(), NOW), [], at)
    await store.claim(QUEUE, "g", "w", 1, to_ms(NOW + timedelta(minutes=20)), at)
    kept = to_ms(NOW + timedelta(days=2))
    digests = []
    for name, expires_ms, data in (("short", to_ms(NOW + timedelta(hours=1)), b"1"), ("long", kept, b"2")):
        async with blobs.writer("identity", max_bytes=10) as writer:
            await writer.write(data)
            content = await writer.finish()
        os.utime(
            tmp_path / "b" / "sha256" / content.blob[:2] / content.blob, (NOW.timestamp(), NOW.timestamp())
        )
        ticket = Ticket(name, "artifact", ID, 0, name, "text/plain", to_ms(NOW + timedelta(minutes=45)))
        await artifacts.declare(ID, 0, name, Declared("s3", "text/plain", expires_ms), None, ticket, at)
        await artifacts.fill(name, content, at)
        digests.append(content.blob)
    sweep = SweepExpired(
        artifacts,
        blobs,
        SqlIndexStore(engine),
        SqlSecretStore(engine),
        SqlWorkerStore(engine),
        SqlPurgeStore(engine),
        SqlLeases(engine),
        clock,
        "one",
    )
    clock.present = NOW + timedelta(hours=1)
    assert await sweep.step() > 0
    assert await blobs.size(digests[0]) == 1, "its grace is not over"
    clock.present += BLOB_GRACE
    await sweep.step()
    assert [await blobs.size(digest) for digest in digests] == [None, 1]
    assert [one.name for one in await artifacts.listed(ID, 0, "", 9)] == ["long"]
