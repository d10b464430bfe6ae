"""What a hook's task may do comes from the hook's role, and nobody gains it by writing, borrowing or guessing."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hook_builders import GROUP, HOOK, NAME, NOW, TASK, hook_body
from hooks_world import MODIFY, HooksWorld
from liftlock.adapters.sql.engine import Engine
from liftlock.errors import (
    AuthenticationFailedError,
    InputInvalidError,
    RefusedError,
    RequestArgumentsError,
    StaleSnapshotError,
    TemplateRefusedError,
)
from liftlock.web import api_hooks


@pytest.fixture
async def world(engine: Engine, tmp_path: Path) -> HooksWorld:
    return await HooksWorld.make(engine, tmp_path)


async def test_a_hooks_role_that_lacks_a_scope_is_named_and_nothing_is_created(
    engine: Engine, tmp_path: Path
) -> None:
    world = await HooksWorld.make(engine, tmp_path, "queue:*")
    await world.create()
    mighty = await world.access.make_client("mighty", "*")
    for who in (world.alice, mighty):
        with pytest.raises(RefusedError, match=f"Role hook-id:{NAME} lacks"):
            await world.trigger({}, who)
    assert await world.count("task") == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"scopes": ["secrets:get:other"]},
        {"routes": ["index.demo.release"]},
        {"schedulerId": "demo-level-3"},
        {"projectId": "other"},
        {"priority": "highest"},
        {"taskQueueId": "local/privileged"},
    ],
)
async def test_a_task_of_a_hook_needs_the_role_for_everything_it_has(
    world: HooksWorld, changes: dict[str, Any]
) -> None:
    await world.create(task={**TASK, **changes})
    with pytest.raises(RefusedError, match="lacks what the hook's task needs"):
        await world.trigger({})
    assert await world.count("task") == 0


async def test_whoever_may_write_a_hook_but_not_be_it_writes_nothing(world: HooksWorld) -> None:
    writer = await world.access.make_client("people/writer", MODIFY[0])
    with pytest.raises(RefusedError, match=MODIFY[1]):
        await world.hooks.create(await world.access.caller(writer), GROUP, HOOK, hook_body(), NOW)
    await world.create()
    with pytest.raises(RefusedError, match=MODIFY[1]):
        await world.hooks.update(await world.access.caller(writer), GROUP, HOOK, hook_body(), NOW)


async def test_whoever_triggers_one_hook_triggers_no_other(world: HooksWorld) -> None:
    await world.create()
    caller = await world.access.caller(world.alice)
    for group, hook in (
        ("project", "demo"),
        (GROUP, HOOK + "2"),
        (GROUP, "nightly"),
        ("project-demo2", HOOK),
    ):
        with pytest.raises(RefusedError):
            await world.fire.by_trigger(caller, group, hook, {}, NOW)


@pytest.mark.parametrize("hook", ["a b", "a\n", "*", "a%2Fb", "", "ä", "../x"])
async def test_a_hooks_name_cannot_reach_into_a_scope(world: HooksWorld, hook: str) -> None:
    caller = await world.access.caller()
    with pytest.raises(RequestArgumentsError):
        await world.fire.by_trigger(caller, GROUP, hook, {}, NOW)
    with pytest.raises(RequestArgumentsError):
        await world.hooks.create(caller, GROUP, hook, hook_body(), NOW)


async def test_the_token_of_another_hook_does_not_work(world: HooksWorld) -> None:
    await world.create()
    other = await world.hooks.create(await world.access.caller(), GROUP, "other", hook_body(), NOW)
    token = await world.hooks.token(await world.access.caller(), GROUP, other.hook_id, NOW)
    with pytest.raises(AuthenticationFailedError):
        await world.trigger_with_token(token, {})
    assert await world.fires() == []


async def test_a_sealed_token_copied_to_another_hook_does_not_work(world: HooksWorld) -> None:
    await world.create()
    mine = await world.hooks.create(await world.access.caller(), GROUP, "mine", hook_body(), NOW)
    known = await world.hooks.token(await world.access.caller(), GROUP, "mine", NOW)
    envelope = (await world.access.caller()).envelope(NOW)
    await world.store.set_token(GROUP, HOOK, mine.sealed_token, envelope)
    with pytest.raises(Exception, match=r".") as refused:
        await world.trigger_with_token(known, {})
    assert refused.type.__module__ == "liftlock.errors"
    assert await world.count("task") == 0


@pytest.mark.parametrize("token", ["", "x", "\0" * 33, "\0" * 44, "A" * 44, "é" * 20])
async def test_a_guessed_token_is_refused_alike_for_a_hook_and_for_none(
    world: HooksWorld, token: str
) -> None:
    await world.create()
    messages = set()
    for hook in (HOOK, "none"):
        with pytest.raises(AuthenticationFailedError) as refused:
            await world.trigger_with_token(token, {}, hook=hook)
        messages.add(refused.value.message)
    assert messages == {"the token is not one of this hook"}
    assert await world.count("task") == 0


async def test_a_scheduled_fire_cannot_be_replayed(world: HooksWorld) -> None:
    hook = await world.create(schedule=["0 0 * * * *"])
    assert hook.next_fire is not None
    await world.fire.by_schedule(hook, hook.next_fire)
    for later in (hook.next_fire, hook.next_fire + timedelta(hours=3)):
        with pytest.raises(StaleSnapshotError):
            await world.fire.by_schedule(hook, later)
    assert await world.count("task") == 1
    assert len(await world.fires()) == 1


async def test_scheduled_fires_at_the_same_moment_create_one_task(world: HooksWorld) -> None:
    hook = await world.create(schedule=["0 0 * * * *"])
    due = hook.next_fire
    assert due is not None
    results = await asyncio.gather(
        *(world.fire.by_schedule(hook, due) for _ in range(6)), return_exceptions=True
    )
    assert sum(isinstance(result, StaleSnapshotError) for result in results) == 5
    assert await world.count("task") == 1


async def test_the_next_task_id_of_a_schedule_is_shown_to_nobody(world: HooksWorld) -> None:
    hook = await world.create(schedule=["0 0 * * * *"])
    shown = api_hooks.status_wire(*await world.hooks.status(await world.access.caller(), GROUP, HOOK))
    assert shown["nextScheduledDate"] == "2026-03-01T13:00:00.000Z"
    assert hook.next_task_id not in str(shown)
    assert hook.next_task_id not in str(hook.document)


async def test_a_role_that_changes_while_a_hook_fires_decides_anew(world: HooksWorld) -> None:
    """The caller was authorised before the role lost its scopes: what follows is decided on the new roles."""
    await world.create()
    caller = await world.access.caller(world.alice)
    await world.access.roles.update(await world.access.caller(), f"hook-id:{NAME}", "", ["nothing"], NOW)
    with pytest.raises(StaleSnapshotError):
        await world.fire.by_trigger(caller, GROUP, HOOK, {}, NOW)
    with pytest.raises(RefusedError):
        await world.trigger({})
    assert await world.count("task") == 0


@pytest.mark.parametrize(
    "task",
    [
        {"a": {"$eval": "9 ** 9 ** 9"}},
        {"a": {"$eval": "range(0, 10 ** 10)"}},
        {"$reduce": {"$eval": "range(0, 60)"}, "initial": ["x"], "each(a, i)": {"$eval": "[a, a]"}},
        {
            "a": {
                "$map": {"$eval": "range(0, 999)"},
                "each(i)": {"$map": {"$eval": "range(0, 999)"}, "each(j)": "x"},
            }
        },
    ],
)
async def test_a_template_bomb_that_compiles_fires_nothing_and_is_kept(
    world: HooksWorld, task: dict[str, Any]
) -> None:
    await world.create(task=task)
    with pytest.raises(TemplateRefusedError):
        await world.trigger({})
    [kept] = await world.fires()
    assert kept.result == "error"
    assert await world.count("task") == 0


async def test_bombs_are_not_saved(world: HooksWorld) -> None:
    with pytest.raises(TemplateRefusedError):
        await world.create(task={"a": {"$eval": "(" * 5_000}})
    with pytest.raises(InputInvalidError):
        await world.create(triggerSchema={"pattern": "((a{1000}){1000}){1000}"})
    assert await world.store.hook(GROUP, HOOK) is None
