"""Hooks on a real store at a fixed instant, for tests: everything that fires, with a guard that can be told what to say."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from access_world import World
from fakes.counted_entropy import CountedEntropy
from hook_builders import GROUP, HOOK, NAME, NOW, ROLE, ROLE_SCOPES, hook_body
from liftlock.adapters.keys.sealing import KeyFileSealer
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.hook_store import SqlHookStore
from liftlock.adapters.sql.lease import SqlLeases
from liftlock.adapters.sql.script import Script, Sql
from liftlock.adapters.sql.task_store import SqlTaskStore
from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.hooks.definition import define_hook
from liftlock.ports.envelope import Envelope
from liftlock.ports.hook_store import FireRecord, HookRecord, PutHook
from liftlock.services.authorize import Caller
from liftlock.services.create_task import CreateTask
from liftlock.services.fire_hook import Fired, FireHook
from liftlock.services.hooks import NEWEST, Hooks
from liftlock.services.schedule_hooks import ScheduleHooks
from liftlock.services.simulate_hook import SimulateHook

TRIGGER = f"hooks:trigger-hook:{NAME}"
MODIFY = (f"hooks:modify-hook:{NAME}", f"assume:hook-id:{NAME}")


@dataclass(frozen=True, slots=True)
class Refused:
    """What a guard says no with."""

    rule: str
    message: str


class ToldGuard:
    """Implements `services.fire_hook.ActionGuard`: answers what it was told, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answer: Refused | None = None
        self.asked: list[tuple[str, Any, str]] = []

    async def check(self, hook: HookRecord, payload: Any, caller: Caller) -> Refused | None:
        self.asked.append((hook.name, payload, caller.client_id))
        return self.answer


@dataclass(slots=True)
class HooksWorld:
    """A control plane's hooks on `engine`; alice may trigger the one hook, whose role has what its task needs."""

    engine: Engine
    directory: Path
    access: World = field(init=False)
    store: SqlHookStore = field(init=False)
    tasks: SqlTaskStore = field(init=False)
    guard: ToldGuard = field(init=False)
    hooks: Hooks = field(init=False)
    fire: FireHook = field(init=False)
    simulate: SimulateHook = field(init=False)
    alice: Credentials = field(init=False)
    sealer: KeyFileSealer = field(init=False)
    entropy: CountedEntropy = field(init=False)

    @classmethod
    async def make(cls, engine: Engine, directory: Path, *role_scopes: str) -> HooksWorld:
        """Return the world with role and client made, and no hook yet."""
        world = cls(engine, directory)
        await world.access.make_role(ROLE, *(role_scopes or ROLE_SCOPES))
        world.alice = await world.access.make_client("people/alice", TRIGGER)
        return world

    def __post_init__(self) -> None:
        self.access = World(self.engine, self.directory)
        self.sealer = KeyFileSealer.open(self.directory / "keys.json", CountedEntropy())
        self.entropy = CountedEntropy()
        self.store, self.tasks = SqlHookStore(self.engine), SqlTaskStore(self.engine)
        self.guard = ToldGuard()
        self.hooks = Hooks(self.store, self.sealer, self.entropy)
        self.fire = self.fire_with(self.tasks)
        self.simulate = SimulateHook(self.store, self.fire)

    def fire_with(self, tasks: Any) -> FireHook:
        """Return the service that fires hooks, looking tasks up in `tasks` and creating them in the real store."""
        create, authorizer = CreateTask(self.tasks), self.access.authorizer
        return FireHook(self.store, tasks, create, authorizer, self.sealer, self.entropy, self.guard)

    def scheduler(self, holder: str = "one") -> ScheduleHooks:
        """Return a scheduler as one control plane has it."""
        leases = SqlLeases(self.engine)
        return ScheduleHooks(self.store, self.fire, self.access.authorizer, leases, holder=holder)

    async def create(self, *, at: datetime = NOW, **changes: Any) -> HookRecord:
        """Create the hook as root."""
        caller = await self.access.caller()
        return await self.hooks.create(caller, GROUP, HOOK, hook_body(**changes), at)

    async def create_managed(self, **changes: Any) -> HookRecord:
        """Create the hook as liftlock does with those that it manages."""
        record = self.hooks.record_of(define_hook(GROUP, HOOK, hook_body(**changes)), NOW, managed=True)
        await self.store.commit(Envelope(NOW, records=(PutHook(record),)))
        return record

    async def trigger(self, payload: Any, who: Credentials | None = None) -> Fired:
        """Trigger the hook, as alice unless somebody else is named."""
        caller = await self.access.caller(who or self.alice)
        return await self.fire.by_trigger(caller, GROUP, HOOK, payload, NOW)

    async def trigger_with_token(
        self, token: str, payload: Any, group: str = GROUP, hook: str = HOOK
    ) -> Fired:
        """Trigger the hook without credentials."""
        caller = await self.access.caller(None)
        return await self.fire.by_token(caller, group, hook, token, payload, NOW)

    async def token(self) -> str:
        """Return the hook's trigger token."""
        return await self.hooks.token(await self.access.caller(), GROUP, HOOK, NOW)

    async def fires(self) -> list[FireRecord]:
        """Return every fire of the hook, the newest first."""
        return await self.store.fires(GROUP, HOOK, before=NEWEST, limit=1000)

    async def count(self, table: str) -> int:
        """Return the number of rows of `table`."""

        def script() -> Script[int]:
            rows = yield Sql(f"SELECT count(*) FROM {table}")
            return int(rows[0][0])

        return await self.engine.read(script)
