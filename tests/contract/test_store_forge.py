"""The stores of deliveries, of work for the forge and of dispatched events keep their promises on both databases."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from liftlock.adapters.sql.dispatch_store import SqlDispatchStore
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.forge_store import SqlForgeStore
from liftlock.adapters.sql.script import Script, Sql
from liftlock.errors import ConflictError, StaleSnapshotError
from liftlock.ports.dispatch_store import DispatchedEvent
from liftlock.ports.envelope import AuditRecord, Envelope
from liftlock.ports.forge_store import Delivery, PullDecision, Watch, Work
from liftlock.values.instants import to_ms
from task_builders import NOW

AT = Envelope(now=NOW)
NOW_MS = to_ms(NOW)
WORK = Work(id="d1/react", repository=5, kind="react", body={"comment": 3})
WATCH = Watch(operation_id="op-1", repository=5, number=7, revision="a" * 40)
DECISION = PullDecision(
    repository=5,
    number=7,
    revision="a" * 40,
    attempt=1,
    project="widget",
    task_id="t",
    decision="started",
    reason="",
)
EVENT = DispatchedEvent(
    id="e1",
    at=NOW,
    sender="bots/a",
    key="k",
    event_type="nightly",
    payload_digest="0" * 64,
    target="hook/a/b",
    result="t",
)


async def test_a_delivery_is_received_once_and_its_work_is_due_at_once(engine: Engine) -> None:
    store = SqlForgeStore(engine)
    await store.receive(Delivery("d1", "push"), [WORK], AT)
    with pytest.raises(ConflictError, match="delivery d1: it was received before; nothing follows from it"):
        await store.receive(Delivery("d1", "push"), [msgspec.structs.replace(WORK, id="d1/other")], AT)
    assert await store.due(NOW_MS - 1, 9) == []
    assert await store.due(NOW_MS, 9) == [WORK]


async def test_of_deliveries_at_once_one_is_taken(engine: Engine) -> None:
    store = SqlForgeStore(engine)
    audit = AuditRecord("github/1", "forge.receive", "forge/github/5", "allowed")
    envelope = Envelope(NOW, audit=(audit,))
    results = await asyncio.gather(
        *(store.receive(Delivery("d1", "push"), [WORK], envelope) for _ in range(4)), return_exceptions=True
    )
    assert sum(result is None for result in results) == 1

    def script() -> Script[int]:
        return int((yield Sql("SELECT count(*) FROM audit"))[0][0])

    assert await engine.read(script) == 1


async def test_work_is_put_off_finished_and_never_stored_twice(engine: Engine) -> None:
    store = SqlForgeStore(engine)
    await store.receive(Delivery("d1", "push"), [WORK], AT)
    await store.put_off(WORK.id, NOW_MS + 10, "down")
    assert await store.due(NOW_MS + 9, 9) == []
    assert await store.due(NOW_MS + 10, 9) == [msgspec.structs.replace(WORK, attempts=1)]
    answer = Work(id="d1/answer", repository=5, kind="comment", body={"number": 7, "text": "x"})
    await store.finish(WORK.id, "done", [answer, answer], AT)
    assert await store.due(NOW_MS + 10, 9) == [answer]
    await store.finish(answer.id, "done", [answer, WORK], AT)
    await store.put_off(WORK.id, NOW_MS, "late")
    assert await store.due(NOW_MS + 10, 9) == []


async def test_a_watch_keeps_its_check_when_it_is_told_of_a_new_state(engine: Engine) -> None:
    store = SqlForgeStore(engine)
    await store.watch(WATCH, (), AT)
    await store.watch(msgspec.structs.replace(WATCH, check_run=50), (), AT)
    await store.watch(msgspec.structs.replace(WATCH, told="done", ended=True), [WORK], AT)
    kept = msgspec.structs.replace(WATCH, check_run=50, told="done", ended=True)
    assert await store.watched("op-1") == kept
    assert await store.watch_of_check(5, 50) == kept
    assert (await store.watch_of_check(6, 50), await store.watched("op-2")) == (None, None)
    assert await store.open_watches(9) == []
    other = msgspec.structs.replace(WATCH, operation_id="op-0")
    await store.watch(other, (), AT)
    assert await store.watches_of(5, 7) == [other, kept]
    assert await store.open_watches(9) == [other]
    assert [work.id for work in await store.due(NOW_MS, 9)] == [WORK.id]


async def test_of_decisions_on_a_pull_request_one_starts_a_task(engine: Engine) -> None:
    store = SqlForgeStore(engine)
    refused = msgspec.structs.replace(DECISION, decision="refused", task_id="", reason="no")
    await store.decide(refused, AT)
    await store.decide(refused, AT)
    with pytest.raises(StaleSnapshotError, match="decided meanwhile"):
        await store.decide(DECISION, AT)
    later = msgspec.structs.replace(DECISION, attempt=2, revision="b" * 40)
    await store.decide(later, AT)
    assert await store.pull_decision(5, 7) == later
    assert await store.pull_decision(5, 8) is None


async def test_an_event_is_found_by_its_senders_key_and_stored_with_what_it_starts(engine: Engine) -> None:
    store = SqlDispatchStore(engine)
    await store.put(EVENT, AT)
    assert await store.by_key("bots/a", "k") == EVENT
    assert await store.by_key("bots/b", "k") is None
    with pytest.raises(ConflictError, match="id 'k': this client used it meanwhile"):
        await store.put(msgspec.structs.replace(EVENT, id="e2"), AT)
    unnamed = msgspec.structs.replace(EVENT, id="e3", key=None)
    await store.refuse(Envelope(NOW, records=(unnamed,)))
    await store.refuse(Envelope(NOW, records=(msgspec.structs.replace(unnamed, id="e4"),)))

    def script() -> Script[list[tuple[object, ...]]]:
        return (yield Sql("SELECT actor, action, subject, verdict FROM audit ORDER BY id"))

    row = ("bots/a", "dispatch.receive", "event/nightly", "allowed")
    assert [tuple(each) for each in await engine.read(script)] == [row, row]
