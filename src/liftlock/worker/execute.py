"""A task's commands, one after the other in a sandbox each, until one fails, the time is up, or the run is given up."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import socket
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from liftlock.ports.sandbox import (
    CacheBind,
    ExitStatus,
    Limits,
    Listener,
    RunningSandbox,
    Sandbox,
    SandboxSpec,
    Scratch,
)
from liftlock.worker.logs.task_log import TaskLog
from liftlock.worker.outcome import Outcome
from liftlock.worker.own import AT_BUILD, Home
from liftlock.worker.payload import Payload
from liftlock.worker.prepare import Placed
from liftlock.worker.terminal import Terminal

_SHOWN_CHARS = 400


class Door(Protocol):
    """Something that answers at `port` inside the sandbox, as long as it runs."""

    @property
    def port(self) -> int:
        """Where inside, on 127.0.0.1."""
        ...

    def serving(self, listeners: tuple[socket.socket, ...]) -> AbstractAsyncContextManager[None]:
        """Serve on these listening sockets until the block ends."""
        ...


class Execution(msgspec.Struct, frozen=True):
    """All that the commands need."""

    scratch: Scratch
    payload: Payload
    env: dict[str, str]
    placed: Placed
    root: str | None = None
    caches: tuple[CacheBind, ...] = ()
    home: Home = AT_BUILD


class Executor:
    """Runs the commands of one run; `stop` ends what runs now, and nothing is started afterwards.

    `last_code`: of the command that ended last; None: none ended by itself.
    """

    def __init__(
        self, sandbox: Sandbox, log: TaskLog, doors: Sequence[Door], terminal: Terminal | None = None
    ) -> None:
        self._terminal = terminal
        self._sandbox = sandbox
        self._log = log
        self._doors = tuple(doors)
        self._running: RunningSandbox | None = None
        self._stopped: str | None = None
        self.last_code: int | None = None

    async def stop(self, reason: str) -> None:
        """Kill the tree that runs now."""
        self._stopped = reason
        if self._running is not None:
            await self._running.kill(reason)

    async def run(self, what: Execution) -> Outcome:
        """Return how the commands ended; every process of them is dead.

        Raises:
            SandboxFailedError, IsolationUnavailableError: a sandbox could not be made.
        """
        until = asyncio.get_running_loop().time() + what.payload.max_run_s
        for number, argv in enumerate(what.payload.command):
            self._log.note(f"command {number + 1} of {len(what.payload.command)}: {_shown(argv)}")
            status = await self._command(what, argv, until)
            self._log.note(_ended(status))
            self.last_code = status.code if status.started and status.killed is None else None
            if not status.ok and (self._terminal is None or not status.started):
                return _outcome(status, what.payload)
        return "completed"

    async def _command(self, what: Execution, argv: tuple[str, ...], until: float) -> ExitStatus:
        left = until - asyncio.get_running_loop().time()
        if left <= 0:
            return ExitStatus(True, 0, killed=_time_is_up(what.payload))
        if self._stopped is not None:
            return ExitStatus(True, 0, killed=self._stopped)
        given = what.payload.resources
        spec = SandboxSpec(
            what.scratch,
            argv,
            env=what.env,
            cwd=what.home.directory,
            binds=what.placed.binds,
            files=what.placed.files,
            listeners=tuple(Listener(door.port) for door in self._doors),
            limits=Limits(given.memory_bytes, given.pids, given.cpu, given.disk_bytes),
            root=what.root,
            caches=what.caches,
            own=what.home.own,
            terminal=self._terminal is not None,
        )
        self._running = await self._sandbox.start(spec)
        try:
            return await self._attend(self._running, left, _time_is_up(what.payload))
        finally:
            self._running = None

    async def _attend(self, running: RunningSandbox, left: float, time_is_up: str) -> ExitStatus:
        """Take the output and serve the proxy until the tree is dead; it dies with this call."""
        if self._stopped is not None:
            await running.kill(self._stopped)
        serving = contextlib.AsyncExitStack()
        following = asyncio.create_task(self._follow(running))
        try:
            for door, listener in zip(self._doors, running.listeners, strict=True):
                await serving.enter_async_context(door.serving((listener,)))
            try:
                status = await asyncio.wait_for(running.wait(), left)
            except TimeoutError:
                await running.kill(time_is_up)
                status = await running.wait()
            await following
        except BaseException:
            await running.kill("the run was given up")
            with contextlib.suppress(Exception):
                await asyncio.wait_for(running.wait(), 10)
            following.cancel()
            raise
        else:
            return status
        finally:
            await serving.aclose()

    async def _follow(self, running: RunningSandbox) -> None:
        if self._terminal is None:
            await self._log.follow(running.log_fd)
        else:
            await self._terminal.follow(running.log_fd, self._log, running.kill)


def _time_is_up(payload: Payload) -> str:
    return f"maxRunTime of {payload.max_run_s} s is over"


def _shown(argv: tuple[str, ...]) -> str:
    text = shlex.join(argv)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"


def _ended(status: ExitStatus) -> str:
    if not status.started:
        return "the sandbox could not be set up; the command never ran"
    if status.killed is not None:
        return f"the command was ended: {status.killed}"
    limits = [
        said
        for hit, said in (
            (status.out_of_memory, "the memory limit was reached"),
            (status.out_of_disk, "the disk limit was reached"),
            (status.out_of_pids, "the limit of processes was reached"),
        )
        if hit
    ]
    return "; ".join([f"the command ended with {status.code}", *limits])


def _outcome(status: ExitStatus, payload: Payload) -> Outcome:
    if not status.started:
        return "internal-error"
    if status.killed is None and status.code in payload.retry_codes:
        return "intermittent-task"
    return "failed"
