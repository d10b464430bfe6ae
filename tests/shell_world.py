"""Interactive tasks on a real store, and what takes what is typed into them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from access_world import NOW, World
from fakes.settable_time import SettableClock
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.shell_store import SqlShellStore
from liftlock.adapters.sql.task_store import SqlTaskStore
from liftlock.adapters.wakeups.in_process import InProcessWakeups
from liftlock.domain.tasks.definition import define
from liftlock.ports.envelope import Envelope
from liftlock.services.shells import Shells
from liftlock.values.instants import to_ms
from task_builders import QUEUE, document, task_id

SHELL = {"command": [["sh"]], "maxRunTime": 60, "features": {"shell": True}}


class ShellWorld:
    """Tasks of `QUEUE`: each that is asked for has a shell unless told otherwise."""

    def __init__(self, engine: Engine) -> None:
        self.tasks = SqlTaskStore(engine)
        self.store = SqlShellStore(engine)
        self._count = 0

    @classmethod
    async def make(cls, engine: Engine) -> ShellWorld:
        """Return the world without tasks."""
        return cls(engine)

    async def pending(self, payload: object = SHELL) -> str:
        """Create a task that waits for a worker; return its id."""
        self._count += 1
        identifier = task_id(self._count)
        made = define(identifier, document(NOW, payload=payload), NOW)
        await self.tasks.create(made, [], Envelope(NOW))
        return identifier

    async def running(self, payload: object = SHELL) -> str:
        """Create a task and let a worker claim it; return its id."""
        identifier = await self.pending(payload)
        await self.tasks.claim(QUEUE, "g", "w", 1, to_ms(NOW + timedelta(minutes=20)), Envelope(NOW))
        return identifier


class ShellService(ShellWorld):
    """The same with the service, and with clients."""

    def __init__(self, engine: Engine, directory: Path, wakeups: InProcessWakeups) -> None:
        super().__init__(engine)
        self.access = World(engine, directory)
        self.clock = SettableClock(NOW)
        self.shells = Shells(self.store, self.tasks, wakeups, self.clock)
