"""Scheduled runs from `.cron.yml`: each time at most once, with the run's own role, from recorded heads alone (A11)."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from access_world import NOW
from fakes.counted_entropy import CountedEntropy
from liftlock.adapters.sql.cron_store import SqlCronStore
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.lease import SqlLeases
from liftlock.ports.push_store import PushQuery
from liftlock.services.run_cron import RunCron
from push_world import CREATE, ROLE, PushWorld, project

CONFIG = """\
version: 1
tasks:
  - $if: 'tasks_for == "cron"'
    then:
      taskGroupId: '${ownTaskId}'
      schedulerId: 'demo-level-3'
      taskQueueId: local/unprivileged
      scopes: ['assume:repo:${repository.url[8:]}:cron:${cron.job_name}']
      metadata: {name: 'Cron ${cron.job_name}', description: '${cron.quoted_args}', owner: o@example.org, source: 'https://x'}
      payload: {revision: '${push.revision}', number: '${push.pushlog_id}', symbol: '${cron.job_symbol}'}
"""
CRON = """\
version: 1
jobs:
  - name: nightly
    job: {type: decision-task, treeherder-symbol: N, target-tasks-method: 'night ly'}
    when: [{hour: 13, minute: 0}]
"""
QUARTER = timedelta(minutes=15)


@pytest.fixture
async def world(engine: Engine, tmp_path: Path) -> PushWorld:
    made = await PushWorld.make(engine, tmp_path)
    await made.access.make_role(f"{ROLE}:cron:nightly", *CREATE)
    made.repository.others[".cron.yml"] = CRON.encode()
    await made.push(CONFIG)
    return made


def cron(world: PushWorld, number: int = 0) -> RunCron:
    entropy = CountedEntropy()
    for _ in range(number):
        entropy.slugid()
    return RunCron(
        SqlCronStore(world.engine),
        world.store,
        world.repository,
        world.access.authorizer,
        world.create_task,
        SqlLeases(world.engine),
        world.clock,
        entropy,
    )


def at(world: PushWorld, when: datetime) -> None:
    world.clock.instant = when


async def state(world: PushWorld) -> Any:
    [found] = await SqlCronStore(world.engine).states("widget")
    return found


async def test_a11_a_run_starts_at_its_time_once_with_its_own_role(world: PushWorld) -> None:
    run = cron(world)
    assert await run.step() == 0, "seen for the first time: from now on"
    at(world, NOW + timedelta(minutes=59, seconds=59))
    assert await run.step() == 0
    at(world, NOW + timedelta(hours=1, seconds=1))
    assert await run.step() == 1
    assert await run.step() == 0
    found = await state(world)
    [task] = await world.tasks.stored([found.task_id])
    push = (await world.store.pushes("widget", PushQuery(limit=1)))[0]
    assert task.document["scopes"] == [f"assume:{ROLE}:cron:nightly"]
    assert task.document["payload"] == {"revision": push.revision, "number": str(push.id), "symbol": "N"}
    assert task.document["metadata"]["description"] == "'--target-tasks-method=night ly'"


async def test_a11_times_that_were_missed_are_made_up_for_once(world: PushWorld) -> None:
    await cron(world).step()
    at(world, NOW + timedelta(days=4, hours=3))
    run = cron(world, 50)
    assert await run.step() == 1
    at(world, NOW + timedelta(days=4, hours=3) + QUARTER)
    assert await run.step() == 0
    assert (await state(world)).decided == NOW + timedelta(days=4, hours=3) + timedelta()


async def test_a11_two_control_planes_start_one_task(world: PushWorld) -> None:
    await cron(world).step()
    at(world, NOW + timedelta(hours=1, minutes=10))
    assert sorted([await cron(world, 10).step(), await cron(world, 60).step()]) == [0, 1]
    at(world, NOW + timedelta(hours=1, minutes=16))
    assert await cron(world, 90).step() == 0


async def test_a11_a_run_without_its_role_is_refused_and_recorded_and_not_tried_again(
    world: PushWorld,
) -> None:
    world.repository.others[".cron.yml"] = CRON.replace("nightly", "hourly").encode()
    run = cron(world)
    await run.step()
    at(world, NOW + timedelta(hours=1))
    assert await run.step() == 0
    found = await state(world)
    assert (found.name, found.task_id) == ("hourly", "")
    assert found.result.startswith("InsufficientScopes: ")
    assert "queue:create-task:lowest:local/unprivileged" in found.result
    at(world, NOW + timedelta(hours=2))
    assert await run.step() == 0


async def test_a11_branches_that_only_a_pattern_covers_have_no_scheduled_runs(
    engine: Engine, tmp_path: Path
) -> None:
    world = PushWorld(engine, tmp_path)
    await world.projects.register(await world.access.caller(), project(branches=["*"]), NOW)
    world.repository.others[".cron.yml"] = CRON.encode()
    await world.push(CONFIG)
    await cron(world).step()
    assert await SqlCronStore(engine).states("widget") == []


@pytest.mark.parametrize("content", ["version: 2\n", "[", CRON + CRON.partition("jobs:\n")[2], "&a x"])
async def test_a_broken_cron_file_stops_no_other_project(world: PushWorld, content: str) -> None:
    world.repository.others[".cron.yml"] = content.encode()
    assert await cron(world).step() == 0
    assert await SqlCronStore(world.engine).states("widget") == []
