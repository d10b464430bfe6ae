"""Simulation shows the task and the role's part in it, and leaves no trace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hook_builders import GROUP, HOOK, NAME, NOW, TASK
from hooks_world import HooksWorld, Refused
from liftlock.adapters.sql.engine import Engine
from liftlock.services.simulate_hook import Simulation

TABLES = ("task", "task_group", "hook_fire", "audit", "outbox", "request_nonce")


@pytest.fixture
async def world(engine: Engine, tmp_path: Path) -> HooksWorld:
    return await HooksWorld.make(engine, tmp_path)


async def _simulate(world: HooksWorld, payload: Any) -> Simulation:
    before = [await world.count(table) for table in TABLES]
    found = await world.simulate(await world.access.caller(world.alice), GROUP, HOOK, payload, NOW)
    assert [await world.count(table) for table in TABLES] == before
    return found


async def test_the_rendered_task_and_the_scopes_it_needs_are_shown(world: HooksWorld) -> None:
    hook = await world.create()
    found = await _simulate(world, {"word": "hi"})
    assert found.problem is None
    assert (found.role, found.hook_version, found.may_trigger) == (f"hook-id:{NAME}", hook.version, True)
    assert found.task is not None
    assert found.task["metadata"]["name"] == "built by triggerHook"
    assert found.task["created"] == "2026-03-01T12:00:00.000Z"
    assert "secrets:get:demo" in found.needed["AllOf"]
    assert found.missing is None


async def test_what_the_role_lacks_is_shown(engine: Engine, tmp_path: Path) -> None:
    world = await HooksWorld.make(engine, tmp_path, "queue:*")
    await world.create()
    found = await _simulate(world, {})
    assert found.missing == "secrets:get:demo"
    assert found.code == "InsufficientScopes"
    assert found.problem is not None
    assert found.problem.startswith(f"Role hook-id:{NAME} does not have")


async def test_a_payload_that_does_not_fit_is_shown(world: HooksWorld) -> None:
    await world.create()
    found = await _simulate(world, {"word": "LOUD"})
    assert (found.code, found.task) == ("InputValidationError", None)
    assert found.problem is not None
    assert "payload.word" in found.problem


async def test_a_guards_refusal_is_shown(world: HooksWorld) -> None:
    await world.create_managed()
    world.guard.answer = Refused("revision", "the revision is not the recorded one")
    found = await _simulate(world, {})
    assert found.task is None
    assert found.problem is not None
    assert "the revision is not the recorded one" in found.problem


async def test_a_task_that_the_queue_would_not_take_is_shown(world: HooksWorld) -> None:
    await world.create(task={**TASK, "retries": 99})
    found = await _simulate(world, {})
    assert found.code == "InputValidationError"
    assert found.task is not None
    assert found.task["retries"] == 99


async def test_nothing_is_shown_as_nothing(world: HooksWorld) -> None:
    await world.create(task={"$if": "false", "then": TASK})
    found = await _simulate(world, {})
    assert (found.task, found.problem, found.needed) == (None, None, None)
