"""Wires hooks: what fires them, what keeps them, the routes of their service and the loop of their schedules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.hook_store import SqlHookStore
from liftlock.adapters.sql.lease import SqlLeases
from liftlock.ports.clock import Clock
from liftlock.ports.entropy import Entropy
from liftlock.ports.sealing import Sealer
from liftlock.ports.task_store import TaskStore
from liftlock.processes.loops import Loop
from liftlock.services.authorize import Authorizer
from liftlock.services.create_task import CreateTask
from liftlock.services.fire_hook import ActionGuard, FireHook
from liftlock.services.hooks import Hooks
from liftlock.services.schedule_hooks import ScheduleHooks
from liftlock.services.simulate_hook import SimulateHook
from liftlock.web import api_hooks
from liftlock.web.routing import Route

SCHEDULE_INTERVAL_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class WiredHooks:
    """The parts that others may use."""

    store: SqlHookStore
    hooks: Hooks
    fire: FireHook
    routes: list[Route]
    loop: Loop


def wire_hooks(
    engine: Engine,
    *,
    tasks: TaskStore,
    create_task: CreateTask,
    authorizer: Authorizer,
    sealer: Sealer,
    clock: Clock,
    entropy: Entropy,
    guard: ActionGuard,
) -> WiredHooks:
    """Return the hooks service on `engine`; nothing has run yet."""
    store = SqlHookStore(engine)
    hooks = Hooks(store, sealer, entropy)
    fire = FireHook(store, tasks, create_task, authorizer, sealer, entropy, guard)
    scheduler = ScheduleHooks(store, fire, authorizer, SqlLeases(engine), holder=entropy.slugid())

    async def fire_due() -> None:
        await scheduler.step(clock.now())

    routes = api_hooks.routes(hooks, fire, SimulateHook(store, fire))
    return WiredHooks(store, hooks, fire, routes, Loop("fire due hooks", fire_due, SCHEDULE_INTERVAL_S))
