"""Access and hooks on a real store, for tests of escalation paths: two hooks lead to a secret, one leads nowhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from access_world import NOW, World
from hook_builders import hook_body
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.hook_store import SqlHookStore
from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.hooks.definition import define_hook
from liftlock.ports.envelope import Envelope
from liftlock.ports.hook_store import HookRecord
from liftlock.services.escalation_paths import EscalationPaths

SECRET = "secrets:get:release/key"


@dataclass(frozen=True, slots=True)
class EscalationWorld:
    """robin triggers generic hooks; generic/bridge triggers release hooks; release/promote reads the secret."""

    world: World
    hooks: SqlHookStore
    paths: EscalationPaths
    robin: Credentials
    eve: Credentials

    @classmethod
    async def make(cls, engine: Engine, directory: Path) -> EscalationWorld:
        """Return the world with its roles, hooks and clients; eve holds nothing."""
        world = World(engine, directory)
        await world.make_role("hook-id:generic/bridge", "hooks:trigger-hook:release/*")
        await world.make_role("hook-id:release/promote", SECRET)
        await world.make_role("repo:app:*", "queue:create-task:highest:build/*")
        hooks = SqlHookStore(engine)
        robin = await world.make_client("people/robin", "hooks:trigger-hook:generic/*")
        eve = await world.make_client("people/eve")
        made = cls(world, hooks, EscalationPaths(world.access, hooks), robin, eve)
        for name in ("generic/bridge", "generic/retrigger", "release/promote"):
            await made.make_hook(name)
        return made

    async def make_hook(self, name: str) -> None:
        """Store a hook of that name."""
        group, _, hook = name.partition("/")
        definition = define_hook(group, hook, hook_body())
        record = HookRecord(definition.document, definition.version, "sealed", False, "task", None, NOW, NOW)
        await self.hooks.create(record, Envelope(NOW))
