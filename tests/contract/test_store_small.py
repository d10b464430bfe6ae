"""The stores of the index, secrets, workers and the small services keep their promises on both databases."""

from __future__ import annotations

import pytest

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.index_store import SqlIndexStore
from liftlock.adapters.sql.script import Script, Sql
from liftlock.adapters.sql.secret_store import SqlSecretStore
from liftlock.adapters.sql.small_stores import SqlDenylist, SqlPurgeStore
from liftlock.adapters.sql.task_store import SqlTaskStore
from liftlock.adapters.sql.worker_store import SqlWorkerStore
from liftlock.domain.tasks.definition import define
from liftlock.domain.tasks.index_routes import IndexEntry
from liftlock.errors import ConflictError
from liftlock.ports.envelope import AuditRecord, Envelope
from liftlock.ports.secret_store import SealedSecret
from liftlock.ports.small_stores import Address, PurgeRequest
from liftlock.ports.worker_store import PoolError, PoolWorker
from liftlock.values.instants import to_ms
from task_builders import NOW, QUEUE, document, task_id

AT = Envelope(now=NOW)
NOW_MS = to_ms(NOW)


async def test_the_greatest_rank_and_then_the_latest_stays_in_the_index(engine: Engine) -> None:
    store = SqlIndexStore(engine)

    async def insert(number: int, rank: float) -> str:
        entry = IndexEntry("a.b.c", rank, {"n": number}, NOW_MS + 1000)
        return (await store.insert(entry, task_id(number), AT)).task_id

    assert await insert(1, 5) == task_id(1)
    assert await insert(2, 4.5) == task_id(1)
    assert await insert(3, 5) == task_id(3)
    assert await insert(4, 6) == task_id(4)
    found = await store.find("a.b.c", NOW_MS)
    assert found is not None
    assert (found.data, found.rank, found.namespace) == ({"n": 4}, 6.0, "a.b.c")
    assert await store.find("a.b.c", NOW_MS + 1000) is None


async def test_namespaces_and_tasks_are_listed_one_level_at_a_time(engine: Engine) -> None:
    store = SqlIndexStore(engine)
    for path in ("x.one", "x.two", "x.deep.er", "top", "y.z"):
        await store.insert(IndexEntry(path, 0, {}, NOW_MS + 1000), task_id(1), AT)
    assert [one.namespace for one in await store.namespaces("", "", 9, NOW_MS)] == ["x", "y"]
    assert [one.namespace for one in await store.namespaces("x", "", 9, NOW_MS)] == ["x.deep"]
    assert [one.namespace for one in await store.tasks("x", "", 1, NOW_MS)] == ["x.one"]
    assert [one.namespace for one in await store.tasks("x", "one", 9, NOW_MS)] == ["x.two"]
    assert [one.namespace for one in await store.tasks("", "", 9, NOW_MS)] == ["top"]
    await store.delete("x.one", AT)
    assert await store.find("x.one", NOW_MS) is None
    assert await store.expire(NOW_MS + 1000, 100) == 7
    assert await store.namespaces("", "", 9, NOW_MS) == []


async def test_a_namespace_lives_as_long_as_the_last_of_what_is_below(engine: Engine) -> None:
    store = SqlIndexStore(engine)
    for path, lasts in (("n.long", 5000), ("n.short", 1000)):
        await store.insert(IndexEntry(path, 0, {}, NOW_MS + lasts), task_id(1), AT)
    [found] = await store.namespaces("", "", 9, NOW_MS)
    assert found.expires_ms == NOW_MS + 5000


async def test_secrets_are_replaced_listed_removed_and_expire(engine: Engine) -> None:
    store = SqlSecretStore(engine)
    for name, sealed in (("b", "1"), ("a", "2"), ("a", "3")):
        await store.put(SealedSecret(name, sealed, NOW_MS + 1000), AT)
    assert await store.get("a") == SealedSecret("a", "3", NOW_MS + 1000)
    assert await store.names("", 9, NOW_MS) == ["a", "b"]
    assert await store.names("a", 9, NOW_MS) == ["b"]
    assert await store.names("", 9, NOW_MS + 1000) == []
    await store.remove("a", AT)
    await store.remove("a", AT)
    assert await store.get("a") is None
    assert await store.expire(NOW_MS + 1000) == 0
    assert await store.expire(NOW_MS + 1001) == 1


async def test_a_read_secret_leaves_its_record(engine: Engine) -> None:
    record = AuditRecord("c", "secrets.get", "secret/a", "allowed")
    await SqlSecretStore(engine).note_read(Envelope(now=NOW, audit=(record,)))

    def script() -> Script[list[tuple[str, str]]]:
        return [(row[0], row[1]) for row in (yield Sql("SELECT actor, subject FROM audit"))]

    assert await engine.read(script) == [("c", "secret/a")]


async def test_a_worker_is_seen_when_it_claims_and_remembers_its_latest_tasks(engine: Engine) -> None:
    tasks, workers = SqlTaskStore(engine), SqlWorkerStore(engine)
    for number in range(1, 26):
        await tasks.create(define(task_id(number), document(), NOW), [], AT)
    assert await workers.seen(QUEUE, "g", "w") is None
    for count in (20, 5):
        await tasks.claim(QUEUE, "g", "w", count, NOW_MS + 1000, AT)
    found = await workers.seen(QUEUE, "g", "w")
    assert found is not None
    assert (found.first_claim_ms, found.last_seen_ms, len(found.recent_tasks)) == (NOW_MS, NOW_MS, 20)
    assert found.recent_tasks[-1] == {"taskId": task_id(25), "runId": 0}
    assert [one.worker_id for one in await workers.listed(QUEUE, ("", ""), 9)] == ["w"]
    assert await workers.listed(QUEUE, ("g", "w"), 9) == []


async def test_a_quarantine_survives_claims_declarations_and_expiry(engine: Engine) -> None:
    workers = SqlWorkerStore(engine)
    far = NOW_MS + 10**9
    await workers.quarantine(QUEUE, "g", "w", far, {"why": 1}, AT)
    again = await workers.quarantine(QUEUE, "g", "w", far, {"why": 2}, AT)
    assert again.quarantine_details == [{"why": 1}, {"why": 2}]
    assert await workers.expire(NOW_MS + 10**8) == 0, "not forgotten while it is quarantined"
    declared = await workers.declare(QUEUE, "g", "w", None, AT)
    assert declared.quarantine_until_ms == far
    assert (await workers.declare(QUEUE, "g", "new", NOW_MS + 5, AT)).expires_ms == NOW_MS + 5
    assert await workers.expire(NOW_MS + 6) == 1


async def test_pools_workers_and_errors_come_and_go_together(engine: Engine) -> None:
    store = SqlWorkerStore(engine)
    await store.put_pool("a/b", {"workerPoolId": "a/b"}, AT, create=True)
    with pytest.raises(ConflictError):
        await store.put_pool("a/b", {}, AT, create=True)
    await store.put_pool("a/b", {"workerPoolId": "a/b", "x": 1}, AT, create=False)
    assert await store.pool("a/b") == {"workerPoolId": "a/b", "x": 1}
    worker = PoolWorker("a/b", "g", "w", {"state": "requested"}, None, NOW_MS + 1000)
    await store.put_pool_worker(worker, AT, create=True)
    with pytest.raises(ConflictError):
        await store.put_pool_worker(worker, AT, create=True)
    await store.put_pool_worker(PoolWorker("a/b", "h", "w", {}, "s", NOW_MS + 1000), AT, create=True)
    assert await store.pool_worker("a/b", "g", "w") == worker
    assert len(await store.pool_workers("a/b", None, ("", ""), 9)) == 2
    assert [one.worker_group for one in await store.pool_workers("a/b", "h", ("", ""), 9)] == ["h"]
    await store.delete_pool_worker("a/b", "h", "w", AT)
    for number in (1, 2):
        await store.add_error(PoolError(task_id(number), "a/b", NOW_MS + number, {"n": number}), AT)
    assert [one.document["n"] for one in await store.errors("a/b", NOW_MS + 9, 9)] == [2, 1]
    assert [one.document["n"] for one in await store.errors("a/b", NOW_MS + 2, 9)] == [1]
    await store.delete_pool("a/b", AT)
    assert await store.pools("", 9) == []
    assert await store.pool_worker("a/b", "g", "w") is None
    assert await store.errors("a/b", NOW_MS + 9, 9) == []


async def test_purge_requests_are_kept_one_for_each_cache_the_latest(engine: Engine) -> None:
    store = SqlPurgeStore(engine)
    for pool, cache, before in (("a/b", "y", 10), ("a/b", "x", 20), ("a/b", "x", 15), ("c/d", "x", 5)):
        await store.request(PurgeRequest(pool, cache, before), AT)
    assert await store.of_pool("a/b", 0) == [PurgeRequest("a/b", "x", 20), PurgeRequest("a/b", "y", 10)]
    assert await store.of_pool("a/b", 10) == [PurgeRequest("a/b", "x", 20)]
    assert [one.pool_id for one in await store.all(("a/b", "x"), 9)] == ["a/b", "c/d"]
    assert await store.expire(10) == 1


async def test_addresses_are_denied_and_allowed_again(engine: Engine) -> None:
    store = SqlDenylist(engine)
    one, two = Address("email", "a@x"), Address("pulse", "k")
    for address in (two, one, one):
        await store.add(address, AT)
    assert await store.listed(Address("", ""), 9) == [one, two]
    assert await store.denies(one)
    await store.remove(one, AT)
    assert not await store.denies(one)
