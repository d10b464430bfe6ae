"""What is typed into shells, on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest

from access_world import NOW
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.shell_store import SqlShellStore
from liftlock.errors import ConflictError, NotFoundError
from liftlock.ports.envelope import Envelope
from liftlock.ports.shell_store import ShellInput, ShellSize
from shell_world import ShellWorld

ENVELOPE = Envelope(NOW)


async def test_pieces_are_numbered_for_each_run_and_read_in_order(engine: Engine) -> None:
    world = await ShellWorld.make(engine)
    task = await world.running()
    store = SqlShellStore(engine)
    assert await store.typed(task, 0, 0, 10) == []
    assert await store.type(task, 0, b"a", ShellSize(100, 30), "people/a", ENVELOPE) == 1
    assert await store.type(task, 0, b"\x00\xff", None, "people/b", ENVELOPE) == 2
    first = ShellInput(1, "people/a", b"a", ShellSize(100, 30))
    second = ShellInput(2, "people/b", b"\x00\xff", None)
    assert await store.typed(task, 0, 0, 10) == [first, second]
    assert await store.typed(task, 0, 1, 10) == [second]
    assert await store.typed(task, 0, 0, 1) == [first]
    assert await store.has_typed(task, 0, "people/b")
    assert not await store.has_typed(task, 0, "people/c")


async def test_only_a_run_that_is_running_takes_input(engine: Engine) -> None:
    world = await ShellWorld.make(engine)
    store = SqlShellStore(engine)
    with pytest.raises(NotFoundError, match="task nothing does not exist"):
        await store.type("nothing", 0, b"a", None, "x", ENVELOPE)
    pending = await world.pending()
    with pytest.raises(ConflictError):
        await store.type(pending, 0, b"a", None, "x", ENVELOPE)


async def test_old_pieces_are_forgotten(engine: Engine) -> None:
    world = await ShellWorld.make(engine)
    task = await world.running()
    store = SqlShellStore(engine)
    await store.type(task, 0, b"a", None, "x", ENVELOPE)
    await store.forget(NOW)
    assert len(await store.typed(task, 0, 0, 10)) == 1
    await store.forget(NOW + timedelta(milliseconds=1))
    assert await store.typed(task, 0, 0, 10) == []
