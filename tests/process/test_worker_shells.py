"""Interactive tasks in real sandboxes, against a control plane in memory (A12)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from liftlock.worker import terminal
from sandboxes import KINDS
from worker_world import World, world

pytestmark = pytest.mark.process

SHELL = {"command": ["sh", "-i"], "features": {"shell": True}}


async def shown(world: World, text: str) -> None:
    """Wait until the terminal has shown `text`."""
    async with asyncio.timeout(30):
        while text.encode() not in world.queue.terminal:
            world.queue.told.clear()
            await world.queue.told.wait()


@pytest.mark.parametrize("kind", KINDS)
async def test_a12_an_interactive_task_is_a_shell_on_a_terminal_that_is_recorded(
    tmp_path: Path, kind: str
) -> None:
    async with world(tmp_path, kind=kind) as worker:
        run = worker.add({**SHELL, "env": {"PS1": "> ", "COLOUR": "blue"}})
        await shown(worker, "> ")
        worker.queue.type("people/robin", b"stty size; echo $((6*7)) $COLOUR; tty\r", (100, 30))
        await shown(worker, "42 blue")
        worker.queue.type("people/robin", b"sleep 600\r")
        await shown(worker, "sleep 600")
        worker.queue.type("people/robin", b"\x03")
        worker.queue.type("people/robin", b"echo aga''in; exit 3\r")
        assert await worker.resolved(run) == "completed"
        record = worker.queue.artifacts[run, "private/shell/terminal"]
        assert record.startswith(worker.queue.terminal)
        assert b"30 100\r\n42 blue\r\n" in record
        assert b"again\r\n" in record
        log = worker.queue.log_of(run)
        assert "people/robin types" in log
        assert "the command ended with" in log
        assert "42 blue" in log


async def test_a12_a_shell_ends_with_its_time_and_when_nobody_types(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path) as worker:
        run = worker.add({**SHELL, "maxRunTime": 1})
        assert await worker.resolved(run) == "completed"
        assert "maxRunTime of 1 s is over" in worker.queue.log_of(run)
    monkeypatch.setitem(terminal.Terminal.__init__.__kwdefaults__, "idle_s", 1.0)
    async with world(tmp_path / "other") as worker:
        run = worker.add(SHELL)
        assert await worker.resolved(run) == "completed"
        assert "the command was ended: nobody typed for 1 s" in worker.queue.log_of(run)


@pytest.mark.parametrize(
    ("payload", "scopes", "why"),
    [
        ({}, ["queue:create-task:low:*"], "expected no scopes but those that fetch inputs"),
        ({}, ["queue:get-artifact:public/x", "*"], "found *"),
        ({"features": {"shell": True, "taskclusterProxy": True}}, [], "no taskclusterProxy"),
        ({"command": [["true"], ["sh"]]}, [], "expected one command, the shell, found 2"),
    ],
)
async def test_a12_a_task_that_could_do_anything_gets_no_shell(
    tmp_path: Path, payload: dict[str, Any], scopes: list[str], why: str
) -> None:
    async with world(tmp_path) as worker:
        run, outcome = await worker.run({**SHELL, **payload}, scopes=scopes)
        assert outcome == "malformed-payload"
        assert "malformed payload: payload.features.shell: " in worker.queue.log_of(run)
        assert why in worker.queue.log_of(run)
        assert worker.queue.terminal == b""
