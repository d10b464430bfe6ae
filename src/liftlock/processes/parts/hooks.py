"""Hooks: kept, fired, scheduled."""

from __future__ import annotations

from dataclasses import dataclass

from liftlock.adapters.sql.hook_store import SqlHookStore
from liftlock.processes.loops import Loop
from liftlock.processes.parts.foundation import Foundation, Part
from liftlock.services.fire_hook import ActionGuard, FireHook
from liftlock.services.hook_failure_mail import HookFailureMail
from liftlock.services.hooks import Hooks
from liftlock.services.schedule_hooks import ScheduleHooks
from liftlock.services.simulate_hook import SimulateHook
from liftlock.web import api_hooks


@dataclass(frozen=True, slots=True)
class HookServices:
    """What other parts use of hooks."""

    store: SqlHookStore
    hooks: Hooks


def services(base: Foundation) -> HookServices:
    """Return the keeping of hooks."""
    store = SqlHookStore(base.engine)
    return HookServices(store, Hooks(store, base.sealer, base.entropy))


def part(base: Foundation, hooks: HookServices, guard: ActionGuard) -> tuple[Part, FireHook]:
    """Return the hooks service and what fires hooks; `guard` checks what fires a managed hook."""
    fire = FireHook(
        hooks.store,
        base.tasks,
        base.create_task,
        base.authorizer,
        base.sealer,
        base.entropy,
        guard,
        None if base.told.mail is None else HookFailureMail(),
    )
    schedule = ScheduleHooks(hooks.store, fire, base.authorizer, base.leases, holder=base.holder)

    async def step() -> None:
        await schedule.step(base.clock.now())

    made = Part(
        tuple(api_hooks.routes(hooks.hooks, fire, SimulateHook(hooks.store, fire))),
        (Loop("fire scheduled hooks", step, 1),),
    )
    return made, fire
