"""Hooks and their fires on both databases."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from hook_builders import GROUP, HOOK, NOW, hook_body
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.hook_store import SqlHookStore
from liftlock.adapters.sql.script import Script, Sql
from liftlock.domain.hooks.definition import define_hook
from liftlock.errors import ConflictError, NotFoundError, StaleSnapshotError
from liftlock.ports.envelope import Envelope
from liftlock.ports.hook_store import FireRecord, HookRecord, PutHook, ScheduleAdvance

ENVELOPE = Envelope(NOW)
LATER = NOW + timedelta(hours=1)
ALL = 1 << 62


def record(group: str = GROUP, hook: str = HOOK, **changes: Any) -> HookRecord:
    definition = define_hook(group, hook, hook_body())
    made = HookRecord(definition.document, definition.version, "sealed", False, "task", None, NOW, NOW)
    return msgspec.structs.replace(made, **changes)


def fire(task_id: str = "t", at: datetime = NOW, **changes: Any) -> FireRecord:
    made = FireRecord(GROUP, HOOK, at, "alice", "triggerHook", "d1", "v1", task_id, "success")
    return msgspec.structs.replace(made, **changes)


async def test_a_hook_is_read_back_as_it_was_created(engine: Engine) -> None:
    store = SqlHookStore(engine)
    assert await store.hook(GROUP, HOOK) is None
    made = record(managed=True, next_fire=LATER)
    await store.create(made, ENVELOPE)
    assert await store.hook(GROUP, HOOK) == made
    with pytest.raises(ConflictError, match=f"hook {GROUP}/{HOOK} exists already"):
        await store.create(record(sealed_token="other"), ENVELOPE)
    assert await store.hook(GROUP, HOOK) == made


async def test_groups_and_hooks_are_listed_by_id(engine: Engine) -> None:
    store = SqlHookStore(engine)
    for group, hook in (("b", "y"), ("a", "Z"), ("b", "x/1"), ("b", "X")):
        await store.create(record(group, hook), ENVELOPE)
    assert await store.groups() == ["a", "b"]
    assert [hook.hook_id for hook in await store.hooks_of("b")] == ["X", "x/1", "y"]
    assert await store.hooks_of("c") == []
    assert await store.names() == ["a/Z", "b/X", "b/x/1", "b/y"]


async def test_a_hook_is_replaced_only_from_the_version_that_was_seen(engine: Engine) -> None:
    store = SqlHookStore(engine)
    old = record()
    await store.create(old, ENVELOPE)
    new = record(version="v2", next_fire=LATER, sealed_token="ignored", created=LATER, modified=LATER)
    await store.replace(new, old.version, ENVELOPE)
    assert await store.hook(GROUP, HOOK) == msgspec.structs.replace(new, sealed_token="sealed", created=NOW)
    with pytest.raises(StaleSnapshotError):
        await store.replace(old, old.version, ENVELOPE)
    await store.delete(GROUP, HOOK, ENVELOPE)
    with pytest.raises(StaleSnapshotError):
        await store.replace(old, "v2", ENVELOPE)


async def test_deleting_keeps_the_fires(engine: Engine) -> None:
    store = SqlHookStore(engine)
    await store.create(record(), ENVELOPE)
    await store.commit(Envelope(NOW, records=(fire(),)))
    assert await store.delete(GROUP, HOOK, ENVELOPE) is True
    assert await store.delete(GROUP, HOOK, ENVELOPE) is False
    assert await store.hook(GROUP, HOOK) is None
    assert len(await store.fires(GROUP, HOOK, before=ALL, limit=10)) == 1


async def test_a_token_is_replaced(engine: Engine) -> None:
    store = SqlHookStore(engine)
    await store.create(record(), ENVELOPE)
    await store.set_token(GROUP, HOOK, "new", ENVELOPE)
    assert await store.hook(GROUP, HOOK) == record(sealed_token="new")
    with pytest.raises(NotFoundError):
        await store.set_token(GROUP, "none", "new", ENVELOPE)


async def test_fires_are_listed_newest_first_and_paged(engine: Engine) -> None:
    store = SqlHookStore(engine)
    for number in range(3):
        await store.commit(Envelope(NOW, records=(fire(f"t{number}", payload_digest=None, error="e"),)))
    await store.commit(Envelope(NOW, records=(fire("other", hook_id="other"),)))
    first = await store.fires(GROUP, HOOK, before=ALL, limit=2)
    assert [one.task_id for one in first] == ["t2", "t1"]
    rest = await store.fires(GROUP, HOOK, before=first[-1].id, limit=2)
    assert rest == [fire("t0", payload_digest=None, error="e", id=rest[0].id)]


async def test_a_fire_leaves_an_audit_record(engine: Engine) -> None:
    store = SqlHookStore(engine)
    await store.commit(Envelope(NOW, records=(fire(result="error", error="no scope"),)))

    def script() -> Script[list[tuple[Any, ...]]]:
        return (yield Sql("SELECT actor, action, subject, verdict FROM audit"))

    assert [tuple(row) for row in await engine.read(script)] == [
        ("alice", "hooks.fire", f"hook/{GROUP}/{HOOK}", "refused")
    ]


async def test_hooks_are_due_from_their_time_on(engine: Engine) -> None:
    store = SqlHookStore(engine)
    await store.create(record(hook="later", next_fire=LATER), ENVELOPE)
    await store.create(record(hook="now", next_fire=NOW), ENVELOPE)
    await store.create(record(hook="never"), ENVELOPE)
    assert [hook.hook_id for hook in await store.due(NOW - timedelta(milliseconds=1), 10)] == []
    assert [hook.hook_id for hook in await store.due(NOW, 10)] == ["now"]
    assert [hook.hook_id for hook in await store.due(LATER, 10)] == ["now", "later"]
    assert [hook.hook_id for hook in await store.due(LATER, 1)] == ["now"]


async def test_of_many_that_advance_a_schedule_at_once_exactly_one_does(engine: Engine) -> None:
    store = SqlHookStore(engine)
    await store.create(record(next_fire=NOW), ENVELOPE)
    steps = [ScheduleAdvance(GROUP, HOOK, NOW, LATER, f"task{number}") for number in range(8)]
    results = await asyncio.gather(
        *(store.commit(Envelope(NOW, records=(step, fire(step.next_task_id)))) for step in steps),
        return_exceptions=True,
    )
    assert sum(result is None for result in results) == 1
    assert sum(isinstance(result, StaleSnapshotError) for result in results) == 7
    (only,) = await store.fires(GROUP, HOOK, before=ALL, limit=10)
    hook = await store.hook(GROUP, HOOK)
    assert hook is not None
    assert (hook.next_fire, hook.next_task_id) == (LATER, only.task_id)


async def test_a_managed_hook_comes_with_another_change_and_keeps_its_token(engine: Engine) -> None:
    store = SqlHookStore(engine)
    await store.commit(Envelope(NOW, records=(PutHook(record(managed=True)),)))
    await store.set_token(GROUP, HOOK, "new", ENVELOPE)
    changed = record(managed=True, version="v2", sealed_token="ignored", modified=LATER)
    await store.commit(Envelope(NOW, records=(PutHook(changed),)))
    assert await store.hook(GROUP, HOOK) == msgspec.structs.replace(changed, sealed_token="new")


async def test_putting_an_equal_hook_changes_nothing(engine: Engine) -> None:
    store = SqlHookStore(engine)
    await store.commit(Envelope(NOW, records=(PutHook(record(managed=True)),)))
    again = record(managed=True, next_task_id="other", modified=LATER)
    await store.commit(Envelope(NOW, records=(PutHook(again),)))
    assert await store.hook(GROUP, HOOK) == record(managed=True)


async def test_a_hook_that_becomes_managed_gets_a_token_that_nobody_knows(engine: Engine) -> None:
    store = SqlHookStore(engine)
    await store.create(record(sealed_token="known to who made it"), ENVELOPE)
    await store.commit(Envelope(NOW, records=(PutHook(record(managed=True, sealed_token="fresh")),)))
    assert await store.hook(GROUP, HOOK) == record(managed=True, sealed_token="fresh")
