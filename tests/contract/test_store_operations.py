"""Operations and approvals on both databases."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.operation_store import SqlOperationStore
from liftlock.adapters.sql.script import Script, Sql
from liftlock.domain.approvals.approval import Approval
from liftlock.errors import ConflictError, NotFoundError
from liftlock.ports.envelope import AuditRecord, Envelope, Event
from liftlock.ports.operation_store import Move, NewOperation, OperationQuery, OperationRecord
from operation_builders import NOW, REVISION, frozen

ENVELOPE = Envelope(NOW)


def record(number: int = 1, **changes: Any) -> OperationRecord:
    made = OperationRecord(
        operation_id=f"operation-{number}",
        operation="publish-widget",
        operation_version="v1",
        hook_version="h1",
        requester="people/robin",
        request_key=None,
        project="widget",
        identity="https://github.com/demo/widget",
        ref="main",
        revision=REVISION,
        input={"version": "1.0", "ö": [1, None]},
        stage1_task_id=f"one-{number}",
        stage2_task_id=f"two-{number}",
        created=NOW,
        expires=NOW + timedelta(hours=1),
        origin={"comment": 7},
        changed=NOW,
    )
    return msgspec.structs.replace(made, **changes)


async def put(store: SqlOperationStore, one: OperationRecord) -> None:
    new = NewOperation(
        one,
        AuditRecord("a", "operations.request", f"operation/{one.operation_id}", "allowed"),
        Event("operation", one.operation_id, {}),
    )
    await store.commit(Envelope(NOW, records=(new,)))


def approval(number: int = 1, approver: str = "morgan", **changes: Any) -> Approval:
    made = Approval(
        f"operation-{number}",
        "publish-widget",
        frozen().digest,
        approver,
        f"people/{approver}",
        "approve",
        "because",
        "ssh",
        "signature",
        NOW,
    )
    return msgspec.structs.replace(made, **changes)


async def freeze(store: SqlOperationStore, number: int = 1) -> None:
    await store.move(
        Move(
            operation_id=f"operation-{number}",
            before="building",
            after="waiting",
            why="waits",
            frozen=frozen(),
        ),
        ENVELOPE,
    )


async def test_an_operation_is_read_back_as_it_was_asked_for(engine: Engine) -> None:
    store = SqlOperationStore(engine)
    assert await store.operation("operation-1") is None
    one = record(request_key="k")
    await put(store, one)
    found = await store.operation("operation-1")
    assert found is not None
    assert msgspec.structs.replace(found, number=0) == one
    assert await store.by_key("people/robin", "k") == found
    assert await store.by_key("people/morgan", "k") is None
    assert await store.by_stage_two("two-1") == found


async def test_a_request_commits_with_its_audit_record_and_its_event(engine: Engine) -> None:
    store = SqlOperationStore(engine)
    await put(store, record())

    def script() -> Script[tuple[Any, Any]]:
        audit = yield Sql("SELECT action, subject FROM audit")
        events = yield Sql("SELECT topic, key FROM outbox")
        return audit, events

    assert await engine.read(script) == (
        [("operations.request", "operation/operation-1")],
        [("operation", "operation-1")],
    )


async def test_a_key_is_used_once_by_each_requester(engine: Engine) -> None:
    store = SqlOperationStore(engine)
    await put(store, record(1, request_key="k"))
    with pytest.raises(ConflictError, match="the request 'k' of people/robin is there already"):
        await put(store, record(2, request_key="k"))
    assert await store.operation("operation-2") is None
    await put(store, record(3, request_key="k", requester="people/morgan"))
    await put(store, record(4))
    await put(store, record(5))


async def test_an_operation_moves_only_from_the_state_that_was_seen(engine: Engine) -> None:
    store = SqlOperationStore(engine)
    await put(store, record())
    await freeze(store)
    with pytest.raises(ConflictError, match="operation operation-1 is waiting by now"):
        await freeze(store)
    move = Move(operation_id="operation-1", before="waiting", after="scheduled", why="approved")
    after = await store.move(move, Envelope(NOW + timedelta(minutes=1)))
    assert (after.state, after.why, after.frozen) == ("scheduled", "approved", frozen())
    assert after.changed == NOW + timedelta(minutes=1)
    with pytest.raises(NotFoundError):
        await store.move(msgspec.structs.replace(move, operation_id="other"), ENVELOPE)


async def test_what_has_not_ended_is_listed_the_oldest_first(engine: Engine) -> None:
    store = SqlOperationStore(engine)
    for number in range(1, 5):
        await put(store, record(number))
    await store.move(Move(operation_id="operation-2", before="building", after="failed", why="x"), ENVELOPE)
    found = await store.unfinished(0, 2)
    assert [one.operation_id for one in found] == ["operation-1", "operation-3"]
    assert [one.operation_id for one in await store.unfinished(found[-1].number, 2)] == ["operation-4"]


async def test_a_listing_takes_what_its_query_says_the_newest_first(engine: Engine) -> None:
    store = SqlOperationStore(engine)
    await put(store, record(1))
    await put(store, record(2, project="other"))
    await put(store, record(3, operation="format"))

    async def ids(**query: Any) -> list[str]:
        return [one.operation_id[-1] for one in await store.operations(OperationQuery(**query))]

    assert await ids() == ["3", "2", "1"]
    assert await ids(limit=1) == ["3"]
    assert await ids(project="widget") == ["3", "1"]
    assert await ids(project="widget", operation="format") == ["3"]
    assert await ids(states=("failed", "done")) == []
    assert await ids(states=("building",), limit=2) == ["3", "2"]
    second = (await store.operations(OperationQuery()))[1]
    assert await ids(before_number=second.number) == ["1"]


async def test_a_person_speaks_once_on_what_waits(engine: Engine) -> None:
    store = SqlOperationStore(engine)
    await put(store, record())
    with pytest.raises(ConflictError, match="does not wait for this approval"):
        await store.say(approval(), ENVELOPE)
    await freeze(store)
    assert await store.say(approval(), ENVELOPE) is True
    assert await store.say(approval(verdict="reject"), ENVELOPE) is False
    assert await store.say(approval(approver="alex"), ENVELOPE) is True
    with pytest.raises(ConflictError, match="does not wait for this approval"):
        await store.say(approval(approver="kim", digest="0" * 64), ENVELOPE)
    assert [one.approver for one in await store.approvals("operation-1")] == ["morgan", "alex"]
    assert await store.approvals("operation-2") == []
