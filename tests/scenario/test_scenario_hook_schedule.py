"""The schedule: each time fires once, whoever looks and however often; what was missed fires once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hook_builders import GROUP, HOOK, NOW, SCHEMA, TASK, hook_body
from hooks_world import HooksWorld
from liftlock.adapters.sql.engine import Engine

HOURLY = ["0 0 * * * *"]
ONE_O_CLOCK = datetime(2026, 3, 1, 13, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
async def world(engine: Engine, tmp_path: Path) -> HooksWorld:
    return await HooksWorld.make(engine, tmp_path)


async def _document(world: HooksWorld, task: str) -> dict[str, Any]:
    [stored] = await world.tasks.stored([task])
    return stored.document


async def test_a_hook_fires_at_its_time_and_not_before(world: HooksWorld) -> None:
    hook = await world.create(schedule=HOURLY)
    assert hook.next_fire == ONE_O_CLOCK
    scheduler = world.scheduler()
    assert await scheduler.step(ONE_O_CLOCK - SECOND) == 0
    assert await scheduler.step(ONE_O_CLOCK) == 1
    [kept] = await world.fires()
    assert (kept.fired_by, kept.actor, kept.payload_digest) == ("schedule", "hooks/schedule", None)
    assert kept.task_id == hook.next_task_id
    document = await _document(world, kept.task_id)
    assert document["created"] == "2026-03-01T13:00:00.000Z"
    assert document["metadata"]["name"] == "built by schedule"


async def test_a_fire_a_little_late_is_created_as_of_its_time(world: HooksWorld) -> None:
    await world.create(schedule=HOURLY)
    assert await world.scheduler().step(ONE_O_CLOCK + timedelta(minutes=9)) == 1
    [kept] = await world.fires()
    assert (await _document(world, kept.task_id))["created"] == "2026-03-01T13:00:00.000Z"


async def test_what_was_missed_fires_once_with_the_present(world: HooksWorld) -> None:
    await world.create(schedule=HOURLY)
    late = datetime(2026, 3, 4, 9, 30, tzinfo=UTC)
    scheduler = world.scheduler()
    assert await scheduler.step(late) == 1
    assert await scheduler.step(late + SECOND) == 0
    [kept] = await world.fires()
    assert (await _document(world, kept.task_id))["created"] == "2026-03-04T09:30:00.000Z"
    hook = await world.store.hook(GROUP, HOOK)
    assert hook is not None
    assert hook.next_fire == datetime(2026, 3, 4, 10, tzinfo=UTC)


async def test_each_time_has_a_task_id_of_its_own(world: HooksWorld) -> None:
    await world.create(schedule=HOURLY)
    scheduler = world.scheduler()
    for hour in range(3):
        assert await scheduler.step(ONE_O_CLOCK + timedelta(hours=hour)) == 1
    assert len({kept.task_id for kept in await world.fires()}) == 3


async def test_several_control_planes_at_once_fire_once(world: HooksWorld) -> None:
    await world.create(schedule=HOURLY)
    steps = [world.scheduler(f"plane {number}").step(ONE_O_CLOCK) for number in range(4)]
    assert sum(await asyncio.gather(*steps)) == 1
    assert len(await world.fires()) == 1
    assert await world.count("task") == 1


async def test_another_control_plane_takes_over_when_the_lease_has_lapsed(world: HooksWorld) -> None:
    await world.create(schedule=HOURLY)
    assert await world.scheduler("first").step(ONE_O_CLOCK - SECOND) == 0
    assert await world.scheduler("second").step(ONE_O_CLOCK) == 0
    assert await world.scheduler("second").step(ONE_O_CLOCK + timedelta(minutes=2)) == 1


async def test_a_fire_that_fails_is_kept_and_the_schedule_goes_on(engine: Engine, tmp_path: Path) -> None:
    world = await HooksWorld.make(engine, tmp_path, "nothing:much")
    await world.create(schedule=HOURLY)
    scheduler = world.scheduler()
    assert await scheduler.step(ONE_O_CLOCK) == 0
    assert await scheduler.step(ONE_O_CLOCK + SECOND) == 0
    [kept] = await world.fires()
    assert kept.result == "error"
    await world.access.roles.update(
        await world.access.caller(), f"hook-id:{GROUP}/{HOOK}", "", ["queue:*", "secrets:*"], NOW
    )
    world.access.authorizer.expire()
    assert await scheduler.step(ONE_O_CLOCK + timedelta(hours=1)) == 1


async def test_a_hook_that_fails_does_not_keep_others_waiting(world: HooksWorld) -> None:
    await world.create(schedule=HOURLY, task={**TASK, "extra": {"$eval": "payload"}})
    await world.access.make_role(f"hook-id:{GROUP}/other", "queue:*", "secrets:*")
    caller = await world.access.caller()
    await world.hooks.create(caller, GROUP, "other", hook_body(schedule=HOURLY), NOW)
    assert await world.scheduler().step(ONE_O_CLOCK) == 1
    assert [kept.result for kept in await world.fires()] == ["error"]


async def test_changing_the_task_leaves_the_schedule_as_planned(world: HooksWorld) -> None:
    old = await world.create(schedule=HOURLY)
    for changes, kept in (({"triggerSchema": True}, True), ({"schedule": ["0 30 * * * *"]}, False)):
        caller = await world.access.caller()
        new = await world.hooks.update(
            caller, GROUP, HOOK, hook_body(**({"schedule": HOURLY} | changes)), NOW + timedelta(minutes=90)
        )
        assert (new.next_fire == old.next_fire) is kept
        assert (new.next_task_id == old.next_task_id) is kept


async def test_a_trigger_does_not_advance_the_schedule(world: HooksWorld) -> None:
    old = await world.create(schedule=HOURLY, triggerSchema=SCHEMA)
    await world.trigger({})
    assert await world.store.hook(GROUP, HOOK) == old
