"""Firing hooks on a real store: what is created, with whose scopes, and what is kept about it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hook_builders import GROUP, HOOK, NAME, NOW, TASK
from hooks_world import HooksWorld
from liftlock.adapters.sql.engine import Engine
from liftlock.errors import (
    ConflictError,
    InputValidationError,
    NotFoundError,
    RefusedError,
    ReplayedRequestError,
    StaleSnapshotError,
    TemplateRefusedError,
)
from liftlock.values.json import digest
from task_builders import task_id


@pytest.fixture
async def world(engine: Engine, tmp_path: Path) -> HooksWorld:
    return await HooksWorld.make(engine, tmp_path)


async def _definition(world: HooksWorld, task: str) -> dict[str, Any]:
    [stored] = await world.tasks.stored([task])
    return stored.document


async def test_a_trigger_creates_a_task_with_the_hooks_role(world: HooksWorld) -> None:
    await world.create()
    fired = await world.trigger({"word": "hello"})
    assert fired.status is not None
    assert fired.status["taskId"] == fired.task_id
    document = await _definition(world, fired.task_id)
    assert document["scopes"] == ["secrets:get:demo"]
    assert document["metadata"]["name"] == "built by triggerHook"
    assert document["taskGroupId"] == fired.task_id


async def test_each_fire_is_attributed(world: HooksWorld) -> None:
    hook = await world.create()
    fired = await world.trigger({"word": "hello"})
    [kept] = await world.fires()
    assert (kept.actor, kept.at, kept.fired_by, kept.result) == (
        "people/alice",
        NOW,
        "triggerHook",
        "success",
    )
    assert (kept.task_id, kept.hook_version) == (fired.task_id, hook.version)
    assert kept.payload_digest == digest({"word": "hello"})


async def test_who_triggers_lends_no_scope_to_the_task(engine: Engine, tmp_path: Path) -> None:
    world = await HooksWorld.make(engine, tmp_path, "queue:create-task:lowest:local/unprivileged")
    await world.create()
    mighty = await world.access.make_client("people/root", "*")
    with pytest.raises(RefusedError) as refused:
        await world.trigger({}, mighty)
    assert refused.value.message.startswith(f"Role hook-id:{NAME} lacks what the hook's task needs")
    assert "secrets:get:demo" in refused.value.message
    assert "queue:scheduler-id:demo-level-1" in refused.value.message


async def test_a_fire_that_fails_is_kept_with_its_reason(engine: Engine, tmp_path: Path) -> None:
    world = await HooksWorld.make(engine, tmp_path, "nothing:much")
    await world.create()
    with pytest.raises(RefusedError):
        await world.trigger({})
    [kept] = await world.fires()
    assert (kept.result, kept.actor) == ("error", "people/alice")
    assert "secrets:get:demo" in kept.error
    assert await world.count("task") == 0


async def test_a_template_that_fails_is_kept_with_its_reason(world: HooksWorld) -> None:
    await world.create(task={**TASK, "extra": {"x": {"$eval": "payload.word"}}})
    with pytest.raises(TemplateRefusedError, match=r"extra\.x\.\$eval: the object has no property word"):
        await world.trigger({})
    [kept] = await world.fires()
    assert kept.result == "error"
    assert "no property word" in kept.error


async def test_a_template_that_renders_to_nothing_creates_nothing_and_is_kept(world: HooksWorld) -> None:
    await world.create(task={"$if": "firedBy == 'schedule'", "then": TASK})
    assert (await world.trigger({})).status is None
    [kept] = await world.fires()
    assert kept.result == "no-fire"
    assert await world.count("task") == 0


async def test_the_payload_may_choose_an_id_that_no_task_has(world: HooksWorld) -> None:
    await world.create()
    assert (await world.trigger({"taskId": task_id(7)})).task_id == task_id(7)


async def test_a_replayed_trigger_fires_once(world: HooksWorld) -> None:
    await world.create()
    caller = await world.access.caller(world.alice)
    await world.fire.by_trigger(caller, GROUP, HOOK, {}, NOW)
    with pytest.raises(ReplayedRequestError):
        await world.fire.by_trigger(caller, GROUP, HOOK, {}, NOW)
    assert len(await world.fires()) == 1
    assert await world.count("task") == 1


async def test_a_replayed_trigger_that_failed_is_a_replay_too(world: HooksWorld) -> None:
    await world.create()
    caller = await world.access.caller(world.alice)
    for expected in (InputValidationError, ReplayedRequestError):
        with pytest.raises(expected):
            await world.fire.by_trigger(caller, GROUP, HOOK, {"wrong": 1}, NOW)
    assert len(await world.fires()) == 1


async def test_who_may_not_trigger_does_not_learn_whether_the_hook_exists(world: HooksWorld) -> None:
    stranger = await world.access.make_client("people/eve", "hooks:trigger-hook:other/*")
    messages = []
    for make in (False, True):
        if make:
            await world.create()
        with pytest.raises(RefusedError) as refused:
            await world.trigger({}, stranger)
        messages.append(refused.value.message)
    assert messages[0] == messages[1]
    assert await world.fires() == []
    with pytest.raises(NotFoundError):
        await world.fire.by_trigger(await world.access.caller(), GROUP, "none", {}, NOW)


async def test_the_token_triggers_without_credentials(world: HooksWorld) -> None:
    await world.create()
    fired = await world.trigger_with_token(await world.token(), {"word": "hi"})
    assert (await _definition(world, fired.task_id))["metadata"]["name"] == "built by triggerHookWithToken"
    [kept] = await world.fires()
    assert (kept.actor, kept.fired_by) == ("hooks/token", "triggerHookWithToken")


async def test_a_managed_hook_asks_its_guard_with_payload_and_caller(world: HooksWorld) -> None:
    await world.create_managed()
    await world.trigger({"word": "a"})
    await world.trigger_with_token(await world.token(), {"word": "b"})
    assert world.guard.asked == [(NAME, {"word": "a"}, "people/alice"), (NAME, {"word": "b"}, "anonymous")]


async def test_a_hook_that_nobody_manages_asks_no_guard(world: HooksWorld) -> None:
    await world.create()
    await world.trigger({})
    assert world.guard.asked == []


async def test_an_id_in_use_by_another_task_is_a_conflict_only_if_it_was_free_before(
    world: HooksWorld,
) -> None:
    """Between the look-up and the creation somebody else may take the id: the other task stays as it is."""
    await world.create()
    first = await world.trigger({"taskId": task_id(7)})
    before = await _definition(world, first.task_id)

    class TooEarly:
        """A look-up that sees the store as it was before the first trigger."""

        async def task(self, _task_id: str) -> None:
            return None

    later, caller = NOW + timedelta(seconds=1), await world.access.caller(world.alice)
    with pytest.raises(ConflictError):
        await world.fire_with(TooEarly()).by_trigger(caller, GROUP, HOOK, {"taskId": task_id(7)}, later)
    assert await _definition(world, first.task_id) == before


async def test_a_caller_who_was_authorised_by_roles_that_have_changed_fires_nothing(
    world: HooksWorld,
) -> None:
    """The right to trigger and the hook's role are decided from one state of roles and clients."""
    await world.create()
    caller = await world.access.caller(world.alice)
    await world.access.make_role("something-else", "a:b")
    with pytest.raises(StaleSnapshotError):
        await world.fire.by_trigger(caller, GROUP, HOOK, {"word": "hello"}, NOW)
    assert await world.fires() == []
    fired = await world.trigger({"word": "hello"})
    assert fired.status is not None, "authorised anew, the same request fires"
