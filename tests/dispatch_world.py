"""Dispatched events on real hooks and operations in memory, for tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fakes.counted_entropy import CountedEntropy
from fakes.fake_operation_desk import FakeOperationDesk
from hook_builders import NAME, NOW
from hooks_world import TRIGGER, HooksWorld
from liftlock.adapters.sql.dispatch_store import SqlDispatchStore
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.script import Script, Sql
from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.dispatch.mapping import parse_rules
from liftlock.ports.dispatch_store import DispatchedEvent
from liftlock.services.dispatch_events import Dispatched, DispatchEvents

SENDER = "bots/nightly"
SCOPES = ("liftlock:dispatch:*", TRIGGER, "liftlock:request:format-widget")
RULES = parse_rules(
    [
        {"type": "nightly", "senders": [SENDER], "hook": NAME},
        {"type": "format", "senders": [SENDER], "operation": "format-widget", "ref": "main"},
    ]
)


@dataclass
class DispatchWorld:
    """One hook, one operation, one client that may dispatch events for both."""

    engine: Engine
    directory: Path
    hooks: HooksWorld = field(init=False)
    desk: FakeOperationDesk = field(default_factory=lambda: FakeOperationDesk("format-widget"))
    events: DispatchEvents = field(init=False)

    @classmethod
    async def make(cls, engine: Engine, directory: Path) -> DispatchWorld:
        """Return the world, its hook stored."""
        world = cls(engine, directory)
        world.hooks = await HooksWorld.make(engine, directory)
        await world.hooks.create()
        store = SqlDispatchStore(engine)
        world.events = DispatchEvents(RULES, store, world.hooks.fire, world.desk, CountedEntropy())
        return world

    async def client(self, client_id: str = SENDER, *scopes: str) -> Credentials:
        """Make a client."""
        return await self.hooks.access.make_client(client_id, *(scopes or SCOPES))

    async def send(
        self, who: Credentials | None, event_type: str, payload: Any, key: str | None = None
    ) -> DispatchedEvent:
        """Dispatch an event as `who`, by a fresh request."""
        caller = await self.hooks.access.caller(who)
        return await self.events(caller, Dispatched(event_type, payload, key), NOW)

    async def count(self, table: str) -> int:
        """Return how many rows a table has."""

        def script() -> Script[int]:
            return int((yield Sql(f"SELECT count(*) FROM {table}"))[0][0])

        return await self.engine.read(script)

    async def trail(self) -> list[tuple[Any, ...]]:
        """Return actor, subject, verdict of every event's record."""

        def script() -> Script[list[tuple[Any, ...]]]:
            text = "SELECT actor, subject, verdict FROM audit WHERE action = 'dispatch.receive' ORDER BY id"
            return [tuple(row) for row in (yield Sql(text))]

        return await self.engine.read(script)
