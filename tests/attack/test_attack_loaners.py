"""Attacks with shells: a person gains by a task what the person does not have."""

from __future__ import annotations

from pathlib import Path

import pytest

from access_world import NOW
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.wakeups.in_process import InProcessWakeups
from liftlock.domain.tasks.interactive import why_not
from liftlock.errors import ConflictError, RefusedError
from shell_world import SHELL, ShellService


@pytest.fixture
async def world(engine: Engine, tmp_path: Path, wakeups: InProcessWakeups) -> ShellService:
    return ShellService(engine, tmp_path, wakeups)


def test_a_shell_in_a_task_with_a_secrets_scope_is_refused_however_it_is_written() -> None:
    for scope in (
        "secrets:get:release",
        "*",
        "secrets:*",
        "assume:repo:x",
        "queue:get-artifact",
        "pushes:*",
        "",
    ):
        refusal = why_not(scopes=[scope], api_proxy=False, network_open=False, caches=False, commands=1)
        assert refusal is not None, scope


async def test_who_may_attach_to_his_own_loaner_can_not_type_into_a_colleagues(world: ShellService) -> None:
    mine, theirs = await world.running(), await world.running()
    mallory = await world.access.make_client(
        "people/mallory", f"queue:attach-shell:demo-level-1/{mine}/{mine}", "queue:cancel-task:*"
    )
    with pytest.raises(RefusedError):
        await world.shells.type(await world.access.caller(mallory), theirs, 0, b"rm -rf ~\r", None, NOW)
    assert await world.store.typed(theirs, 0, 0, 9) == []


async def test_a_running_task_that_asked_for_no_shell_takes_no_input(world: ShellService) -> None:
    task = await world.running({**SHELL, "features": {"taskclusterProxy": True}})
    with pytest.raises(ConflictError, match="has no shell"):
        await world.shells.type(await world.access.caller(), task, 0, b"x", None, NOW)


async def test_a_task_can_not_read_what_is_typed_into_another(world: ShellService) -> None:
    mine, theirs = await world.running(), await world.running()
    own = await world.access.authorizer.internal("task-client/x", [f"queue:reclaim-task:{mine}/0"], NOW)
    with pytest.raises(RefusedError):
        await world.shells.typed(own, theirs, 0, 0, NOW)


async def test_nobody_types_without_being_on_record(world: ShellService) -> None:
    task = await world.running()
    for name in ("people/a", "people/b"):
        who = await world.access.make_client(name, "queue:attach-shell:*")
        for data in (b"1", b"2"):
            await world.shells.type(await world.access.caller(who), task, 0, data, None, NOW)
    history = await world.access.store.history(f"task/{task}/0", before=2**60, limit=9)
    assert sorted(each.actor for each in history) == ["people/a", "people/b"]
