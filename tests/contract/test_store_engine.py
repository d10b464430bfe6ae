"""Both engines keep the same promises about transactions."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.lease import SqlLeases
from liftlock.adapters.sql.script import Script, Sql, Wake
from liftlock.adapters.wakeups.in_process import InProcessWakeups
from liftlock.errors import ConflictError, ReplayedRequestError, StaleSnapshotError, StorageError
from liftlock.ports.envelope import AuditRecord, Envelope, Event, Nonce

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
NONCE = Nonce("client", 1_769_860_800, "abc123")
RECORD = AuditRecord("client", "test.change", "thing/1", "changed", {"a": 1})


def put(key: str) -> Script[str]:
    yield Sql("INSERT INTO outbox(topic, key, body) VALUES ('t', $1, '{}')", (key,))
    return key


def count(table: str) -> Script[int]:
    rows = yield Sql(f"SELECT count(*) FROM {table}")
    return int(rows[0][0])


async def test_a_change_commits_with_its_audit_record_its_event_and_its_nonce(engine: Engine) -> None:
    envelope = Envelope(NOW, NONCE, 1, (RECORD,), (Event("topic", "key", {"b": 2}),))
    assert await engine.write(lambda: put("x"), envelope) == "x"
    assert await engine.read(lambda: count("audit")) == 1
    assert await engine.read(lambda: count("outbox")) == 2
    assert await engine.read(lambda: count("request_nonce")) == 1


async def test_a_replayed_nonce_is_refused_and_changes_nothing(engine: Engine) -> None:
    await engine.write(lambda: put("x"), Envelope(NOW, NONCE))
    with pytest.raises(ReplayedRequestError, match="was received before"):
        await engine.write(lambda: put("y"), Envelope(NOW, NONCE, audit=(RECORD,)))
    assert await engine.read(lambda: count("outbox")) == 1
    assert await engine.read(lambda: count("audit")) == 0


async def test_a_replay_at_the_same_moment_lets_exactly_one_through(engine: Engine) -> None:
    results = await asyncio.gather(
        *(engine.write(lambda: put("x"), Envelope(NOW, NONCE)) for _ in range(10)), return_exceptions=True
    )
    assert sum(result == "x" for result in results) == 1
    assert sum(isinstance(result, ReplayedRequestError) for result in results) == 9


async def test_a_decision_on_changed_roles_is_stale_and_changes_nothing(engine: Engine) -> None:
    with pytest.raises(StaleSnapshotError):
        await engine.write(lambda: put("x"), Envelope(NOW, NONCE, access_version=7))
    assert await engine.read(lambda: count("request_nonce")) == 0


async def test_an_exception_in_a_script_undoes_it_and_spares_its_neighbours(engine: Engine) -> None:
    def failing() -> Script[None]:
        yield from put("lost")
        raise ConflictError("no")

    results = await asyncio.gather(
        engine.write(lambda: put("a"), None),
        engine.write(failing, Envelope(NOW, audit=(RECORD,))),
        engine.write(lambda: put("b"), None),
        return_exceptions=True,
    )
    assert results[0] == "a"
    assert isinstance(results[1], ConflictError)
    assert results[2] == "b"
    assert await engine.read(lambda: count("outbox")) == 2
    assert await engine.read(lambda: count("audit")) == 0


async def test_a_bad_statement_is_a_storage_error_and_the_engine_goes_on(engine: Engine) -> None:
    def bad() -> Script[None]:
        yield Sql("INSERT INTO no_such_table VALUES ($1)", (1,))

    with pytest.raises(StorageError, match="nothing took effect"):
        await engine.write(bad, None)
    assert await engine.write(lambda: put("x"), None) == "x"


async def test_a_wake_is_heard_after_the_commit(engine: Engine, wakeups: InProcessWakeups) -> None:
    def script() -> Script[None]:
        yield from put("x")
        yield Wake("queue:a/b")

    with wakeups.listen("queue:a/b") as ticket:
        await engine.write(script, None)
        assert await ticket.wait(5)
        assert await engine.read(lambda: count("outbox")) == 1


async def test_a_failed_script_wakes_nobody(engine: Engine, wakeups: InProcessWakeups) -> None:
    def script() -> Script[None]:
        yield Wake("queue:a/b")
        raise ConflictError("no")

    with wakeups.listen("queue:a/b") as ticket:
        with pytest.raises(ConflictError):
            await engine.write(script, None)
        assert not await ticket.wait(0)


async def test_a_cancelled_caller_does_not_undo_a_write_that_was_handed_over(engine: Engine) -> None:
    task = asyncio.ensure_future(engine.write(lambda: put("x"), None))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await engine.write(lambda: put("y"), None)
    # PostgreSQL may take them in either order: wait until the first has had its turn.
    for _ in range(1000):
        if await engine.read(lambda: count("outbox")) == 2:
            break
        await asyncio.sleep(0.01)
    assert await engine.read(lambda: count("outbox")) == 2


async def test_many_writers_at_once_all_commit(engine: Engine) -> None:
    keys = [str(number) for number in range(200)]
    assert await asyncio.gather(*(engine.write(lambda k=key: put(k), None) for key in keys)) == keys
    assert await engine.read(lambda: count("outbox")) == 200


async def test_a_lease_is_held_by_one_until_the_instant_it_ends(engine: Engine) -> None:
    leases = SqlLeases(engine)
    minute = timedelta(minutes=1)
    assert await leases.hold("sweep", "a", now=NOW, duration=minute)
    assert not await leases.hold("sweep", "b", now=NOW + minute - timedelta(milliseconds=1), duration=minute)
    assert await leases.hold("sweep", "a", now=NOW, duration=minute)
    assert await leases.hold("sweep", "b", now=NOW + minute, duration=minute)
