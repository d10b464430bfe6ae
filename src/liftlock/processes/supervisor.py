"""Keeps child processes running: starts them in order, restarts what dies, and ends them in reverse order.

Settings reach a child through an anonymous file in memory (`--settings-fd`), never by its arguments or environment,
which other users could read.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

_log = structlog.get_logger(__name__)

RESTART_PAUSE_S = (0.1, 0.5, 1.0, 2.0, 5.0)
"""Pauses before the first, second, … restart in a row; the last one repeats."""
STEADY_S = 30.0
"""A child that ran that long starts anew at the first pause."""


@dataclass(slots=True)
class Child:
    """One child: `settings` is called at each start, so that it may hold what is current.

    `grace_s`: how long it may take to end after SIGTERM before it is killed. `proven`: False for a child whose first
    start may show that it can't work at all: until whoever starts it sets this, an exit with a failure is final
    (`gave_up`); one by a signal is not.
    """

    name: str
    module: str
    settings: Callable[[], bytes]
    pass_fds: Sequence[int] = ()
    grace_s: float = 10.0
    proven: bool = True
    gave_up: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    process: asyncio.subprocess.Process | None = field(default=None, init=False)


class Supervisor:
    """Runs children until `stop`."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._watchers: list[tuple[Child, asyncio.Task[None]]] = []
        self._stopping = False

    async def start(self, child: Child) -> None:
        """Start `child` and keep it running."""
        await self._spawn(child)
        self._watchers.append((child, asyncio.create_task(self._watch(child))))

    async def stop(self) -> None:
        """End all children, the youngest first, each with its grace."""
        self._stopping = True
        for child, watcher in reversed(self._watchers):
            watcher.cancel()
            await self._end(child)

    async def _spawn(self, child: Child) -> None:
        settings = os.memfd_create(f"liftlock-{child.name}", os.MFD_CLOEXEC)
        try:
            os.write(settings, child.settings())
            os.lseek(settings, 0, os.SEEK_SET)
            child.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                child.module,
                "--settings-fd",
                str(settings),
                "--parent-pid",
                str(os.getpid()),
                stdin=asyncio.subprocess.DEVNULL,
                env=self._environment,
                pass_fds=[settings, *child.pass_fds],
                start_new_session=True,
            )
        finally:
            os.close(settings)

    async def _watch(self, child: Child) -> None:
        failures = 0
        while True:
            process = child.process
            if process is None:
                return
            began = time.monotonic()
            status = await process.wait()
            if self._stopping:
                return
            if not child.proven and status > 0:
                child.gave_up.set()
                return
            failures = 0 if time.monotonic() - began > STEADY_S else failures
            pause = RESTART_PAUSE_S[min(failures, len(RESTART_PAUSE_S) - 1)]
            failures += 1
            _log.error("a process ended and is restarted", process=child.name, status=status, pause_s=pause)
            await asyncio.sleep(pause)
            await self._spawn(child)

    async def _end(self, child: Child) -> None:
        process = child.process
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(child.grace_s):
                await process.wait()
        except TimeoutError:
            _log.error(
                "a process did not end in time and is killed", process=child.name, grace_s=child.grace_s
            )
            process.kill()
            await process.wait()
