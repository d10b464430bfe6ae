"""A payload that violates the trigger schema fires nothing, by whatever way it comes (A5)."""

from __future__ import annotations

import ast
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from hook_builders import GROUP, HOOK, NOW, TASK
from hooks_world import HooksWorld, Refused
from liftlock.adapters.sql.engine import Engine
from liftlock.errors import InputValidationError, RefusedError
from liftlock.ports.event_log import EventFire
from liftlock.services.fire_hook import FireHook
from liftlock.web import api_hooks
from task_builders import task_id

SOURCE = Path(api_hooks.__file__).parents[1]


async def _by_token(world: HooksWorld, payload: Any) -> Any:
    return await world.trigger_with_token(await world.token(), payload)


async def _by_event(world: HooksWorld, payload: Any) -> Any:
    record = await world.store.hook(GROUP, HOOK)
    assert record is not None
    return await world.fire.by_event(record, payload, EventFire(record.name, 1, "", (record.name,), 0), NOW)


# Each way to bring a payload to a hook. A new public method of FireHook must be added here, or below with its reason.
WAYS: dict[str, Callable[[HooksWorld, Any], Awaitable[Any]]] = {
    "by_trigger": lambda world, payload: world.trigger(payload),
    "by_token": _by_token,
    "by_event": _by_event,
}
WITHOUT_PAYLOAD = {"by_schedule"}  # fires with no payload at all: the template has no such variable
OF_AN_OPERATION = {"by_operation"}  # its service resolved the payload; `prepare` validates it as on every way
FIRES_NOTHING = {"token_of", "note_refused_event", "prepare", "choose_task_id", "role_of"}


@pytest.fixture
async def world(engine: Engine, tmp_path: Path) -> HooksWorld:
    return await HooksWorld.make(engine, tmp_path)


BAD: dict[str, Any] = {
    "another type": {"word": 5},
    "a text that does not match": {"word": "LOUD"},
    "a text of two lines": {"word": "ok\n"},
    "a text that is too long": {"word": "abcdefghijk"},
    "a property nobody asked for": {"word": "ok", "extra": 1},
    "no object": ["ok"],
    "nothing": None,
    "a payload nested without end": {"word": [[[[[["x"] * 3] * 3] * 3] * 3] * 3]},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", BAD)
async def test_a_payload_that_violates_the_schema_creates_no_task(
    world: HooksWorld, way: str, name: str
) -> None:
    await world.create()
    with pytest.raises(InputValidationError, match="payload"):
        await WAYS[way](world, BAD[name])
    assert await world.count("task") == 0
    [kept] = await world.fires()
    assert kept.result == "error"


@pytest.mark.parametrize("way", WAYS)
async def test_the_guard_of_a_managed_hook_is_asked_on_every_way(world: HooksWorld, way: str) -> None:
    await world.create_managed()
    world.guard.answer = Refused("revision", "the revision is of no recorded push")
    with pytest.raises(RefusedError, match="the revision is of no recorded push"):
        await WAYS[way](world, {"word": "ok"})
    assert await world.count("task") == 0
    [kept] = await world.fires()
    assert "no recorded push" in kept.error


async def test_what_a_refused_payload_holds_is_kept_nowhere(world: HooksWorld) -> None:
    await world.create()
    with pytest.raises(InputValidationError, match="HUNTER2"):  # whoever sent it is told
        await world.trigger({"word": "HUNTER2"})
    [kept] = await world.fires()
    assert "payload.word: violates properties/word/pattern" in kept.error
    assert "HUNTER2" not in kept.error


async def test_the_schedule_brings_no_payload_and_asks_the_guard(world: HooksWorld) -> None:
    world.guard.answer = Refused("payload", "an action has a payload")
    hook = await world.create_managed(schedule=["* * * * * *"], task={**TASK, "extra": {"$eval": "payload"}})
    assert hook.next_fire is not None
    assert await world.scheduler().step(hook.next_fire) == 0
    assert world.guard.asked == [(hook.name, None, "hooks/schedule")]
    assert await world.count("task") == 0


async def test_every_way_to_fire_is_listed_here() -> None:
    public = {
        name
        for name, value in vars(FireHook).items()
        if not name.startswith("_") and callable(getattr(FireHook, name)) and value
    }
    assert public == set(WAYS) | WITHOUT_PAYLOAD | OF_AN_OPERATION | FIRES_NOTHING


def _calls(name: str) -> set[str]:
    """Return the modules of the package that call something called `name`."""
    return {
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == name
    }


def test_a_hooks_task_is_rendered_in_one_place_only() -> None:
    users = {
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "liftlock.domain.hooks.firing"
        if "render_task" in {alias.name for alias in node.names}
    }
    assert users == {"services/fire_hook.py", "domain/operations/stage_one.py"}
    assert _calls("prepare") >= {"services/fire_hook.py", "services/simulate_hook.py"}


def test_every_route_that_fires_goes_through_the_one_function() -> None:
    """Of the hooks service's routes, exactly these take a payload for a hook; each has one of the ways as its service."""
    unused: Any = object()
    routes = api_hooks.routes(unused, unused, unused)
    firing = {route.name for route in routes if route.input == "hooks/trigger-hook"}
    assert firing == {"triggerHook", "triggerHookWithToken", "simulateHook"}
    assert {route.name for route in routes if "trigger" in route.path} == {
        "triggerHook",
        "triggerHookWithToken",
    }


async def test_a_payload_cannot_take_the_id_of_an_existing_task(world: HooksWorld) -> None:
    await world.create()
    first = await world.trigger({"taskId": task_id(7)})
    [before] = await world.tasks.stored([task_id(7)])
    second = await world.trigger({"taskId": task_id(7), "word": "other"})
    assert first.task_id == task_id(7)
    assert second.task_id != task_id(7)
    assert await world.tasks.stored([task_id(7)]) == [before]


async def test_a_payload_cannot_bring_a_template_into_the_task(world: HooksWorld) -> None:
    await world.create(
        triggerSchema=True,
        task={**TASK, "extra": {"said": {"$eval": "payload"}, "text": "${payload.word}"}},
    )
    payload = {"word": "${taskId}", "$eval": "firedBy", "scopes": ["*"]}
    fired = await world.trigger(payload)
    [stored] = await world.tasks.stored([fired.task_id])
    assert stored.document["extra"] == {"said": payload, "text": "${taskId}"}
    assert stored.document["scopes"] == ["secrets:get:demo"]


@pytest.mark.parametrize("payload", [{"word": "a" * 10_000_000}, {"word": ["x"] * 1_000_000}])
async def test_a_huge_payload_is_refused(world: HooksWorld, payload: Any) -> None:
    await world.create(triggerSchema={"properties": {"word": {"items": {"allOf": [{"maxLength": 3}] * 100}}}})
    with pytest.raises(Exception, match=r"too large|more than") as refused:
        await world.fire.by_trigger(await world.access.caller(world.alice), GROUP, HOOK, payload, NOW)
    assert refused.type.__module__ == "liftlock.errors"
    assert await world.count("task") == 0
