"""Shells of interactive tasks: who may type, what reaches the worker, what is on record (A12)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from access_world import NOW
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.wakeups.in_process import InProcessWakeups
from liftlock.errors import ConflictError, InputInvalidError, NotFoundError, RefusedError
from liftlock.services.authorize import Caller
from liftlock.services.shells import LONG_POLL, MAX_BYTES
from shell_world import ShellService


@pytest.fixture
async def world(engine: Engine, tmp_path: Path, wakeups: InProcessWakeups) -> ShellService:
    return ShellService(engine, tmp_path, wakeups)


async def person(world: ShellService, *scopes: str, name: str = "people/robin") -> Caller:
    return await world.access.caller(await world.access.make_client(name, *scopes))


async def worker_of(world: ShellService, task: str) -> Caller:
    return await world.access.authorizer.internal("task-client/x", [f"queue:reclaim-task:{task}/0"], NOW)


async def test_a12_what_is_typed_reaches_the_worker_and_the_first_piece_is_audited(
    world: ShellService,
) -> None:
    task = await world.running()
    may = f"queue:attach-shell:demo-level-1/{task}/{task}"
    robin = await world.access.make_client("people/robin", may)
    for data in (b"ls\r", b"exit\r"):
        await world.shells.type(await world.access.caller(robin), task, 0, data, None, NOW)
    typed = await world.shells.typed(await worker_of(world, task), task, 0, 0, NOW)
    assert [(each.seq, each.actor, each.data) for each in typed] == [
        (1, "people/robin", b"ls\r"),
        (2, "people/robin", b"exit\r"),
    ]
    history = await world.access.store.history(f"task/{task}/0", before=2**60, limit=9)
    assert [(each.actor, each.action) for each in history] == [("people/robin", "queue.attachShell")]


async def test_a12_a_worker_that_waits_is_told_as_soon_as_somebody_types(world: ShellService) -> None:
    task = await world.running()
    waiting = asyncio.create_task(world.shells.typed(await worker_of(world, task), task, 0, 0, NOW))
    await asyncio.sleep(0)
    await world.shells.type(await world.access.caller(), task, 0, b"x", None, NOW)
    async with asyncio.timeout(2):
        [piece] = await waiting
    assert piece.data == b"x"
    world.clock.present = NOW + LONG_POLL
    assert await world.shells.typed(await worker_of(world, task), task, 0, 1, NOW) == []


async def test_a12_only_who_may_attach_types_and_only_the_run_itself_reads(world: ShellService) -> None:
    task, other = await world.running(), await world.running()
    nobody = await person(world, f"queue:attach-shell:demo-level-1/{other}/{other}")
    with pytest.raises(RefusedError, match=f"queue:attach-shell:demo-level-1/{task}/{task}"):
        await world.shells.type(nobody, task, 0, b"x", None, NOW)
    with pytest.raises(RefusedError, match=f"queue:reclaim-task:{task}/0"):
        await world.shells.typed(await worker_of(world, other), task, 0, 0, NOW)


async def test_a12_what_can_not_be_typed_into_says_why(world: ShellService) -> None:
    root = await world.access.caller()
    plain = await world.running({"command": [["true"]], "maxRunTime": 60})
    with pytest.raises(ConflictError, match=r"has no shell: its payload does not ask for features\.shell"):
        await world.shells.type(root, plain, 0, b"x", None, NOW)
    with pytest.raises(ConflictError):
        await world.shells.type(root, await world.pending(), 0, b"x", None, NOW)
    with pytest.raises(NotFoundError):
        await world.shells.type(root, "AAAAAAAAQ2qAAAAAAAAAAA", 0, b"x", None, NOW)
    task = await world.running()
    with pytest.raises(InputInvalidError, match=f"at most {MAX_BYTES} bytes, got {MAX_BYTES + 1}"):
        await world.shells.type(root, task, 0, b"x" * (MAX_BYTES + 1), None, NOW)


async def test_a12_nobody_waits_for_what_is_typed_into_a_task_that_does_not_run(world: ShellService) -> None:
    pending = await world.pending()
    with pytest.raises(ConflictError, match=f"run 0 of task {pending} is not running"):
        await world.shells.typed(await worker_of(world, pending), pending, 0, 0, NOW)
    absent = "AAAAAAAAQ2qAAAAAAAAAAA"
    with pytest.raises(NotFoundError, match=f"task {absent} does not exist"):
        await world.shells.typed(await worker_of(world, absent), absent, 0, 0, NOW)


async def test_a12_what_was_typed_is_forgotten_after_a_day(world: ShellService) -> None:
    task = await world.running()
    await world.shells.type(await world.access.caller(), task, 0, b"x", None, NOW)
    world.clock.present = NOW + timedelta(days=1)
    await world.shells.step()
    assert len(await world.store.typed(task, 0, 0, 9)) == 1
    world.clock.present = NOW + timedelta(days=1, milliseconds=1)
    await world.shells.step()
    assert await world.store.typed(task, 0, 0, 9) == []
