"""Show what firing a hook would do, without doing any of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from liftlock.domain.hooks.firing import Trigger
from liftlock.domain.scopes.satisfaction import AnyOf, to_wire
from liftlock.domain.tasks.definition import define
from liftlock.domain.tasks.requirements import to_create
from liftlock.errors import LiftlockError, NotFoundError, StaleSnapshotError, StorageError
from liftlock.ports.hook_store import HookRecord, HookStore
from liftlock.services.authorize import Caller
from liftlock.services.fire_hook import FireHook
from liftlock.values import ids


class Simulation(msgspec.Struct, frozen=True, rename="camel"):
    """What would happen. `task` None: nothing would be created; `problem` says what would go wrong, if anything.

    `needed` is what creating the task takes and `missing` the part of it that the hook's role does not have, both as
    scope expressions. `may_trigger` tells whether the caller could fire the hook for real.
    """

    task_id: str
    role: str
    hook_version: str
    may_trigger: bool
    task: dict[str, Any] | None = None
    needed: Any = None
    missing: Any = None
    problem: str | None = None
    code: str | None = None


class SimulateHook:
    """Goes the way of a fire up to the point where something would be created."""

    def __init__(self, hooks: HookStore, fire: FireHook) -> None:
        self._hooks = hooks
        self._fire = fire

    async def __call__(
        self, caller: Caller, group: str, hook_id: str, payload: Any, now: datetime
    ) -> Simulation:
        """Return what `by_trigger` with `payload` would do.

        Raises:
            RefusedError: the caller may neither trigger nor read the hook.
            NotFoundError: there is no such hook.
        """
        name = f"{ids.hook_group_id(group)}/{ids.hook_id(hook_id)}"
        trigger_scope = f"hooks:trigger-hook:{name}"
        caller.require(AnyOf(trigger_scope, f"hooks:get:{group}:{hook_id}"))
        record = await self._hooks.hook(group, hook_id)
        if record is None:
            raise NotFoundError(f"hook {name} does not exist")
        found = Simulation(
            task_id=await self._fire.choose_task_id(payload),
            role=f"hook-id:{name}",
            hook_version=record.version,
            may_trigger=caller.satisfies(trigger_scope),
        )
        return await self._go(found, record, Trigger("triggerHook", now, payload, caller.client_id), caller)

    async def _go(
        self, found: Simulation, record: HookRecord, trigger: Trigger, caller: Caller
    ) -> Simulation:
        try:
            task = await self._fire.prepare(record, trigger, caller, found.task_id)
            if task is None:
                return found
            found = msgspec.structs.replace(found, task=task)
            definition = define(found.task_id, task, trigger.created)
        except (StaleSnapshotError, StorageError):
            raise
        except LiftlockError as error:
            return msgspec.structs.replace(found, problem=error.message, code=error.code)
        role = await self._fire.role_of(record, caller, trigger.created)
        needed = to_create(definition)
        refusal = role.refusal(needed)
        return msgspec.structs.replace(
            found,
            task=definition.document,
            needed=to_wire(needed),
            missing=None if refusal is None else to_wire(refusal.unsatisfied),
            problem=None if refusal is None else refusal.message(f"Role {found.role}"),
            code=None if refusal is None else "InsufficientScopes",
        )
