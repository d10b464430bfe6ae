"""The operations that this installation has, with their hooks: by configuration only, and the same for every service."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from liftlock.domain.hooks.definition import CompiledHook
from liftlock.domain.operations.definition import Operation, OperationSet
from liftlock.domain.operations.stage_one import HOOK_GROUP, compiled
from liftlock.errors import NotFoundError
from liftlock.ports.envelope import AuditRecord, Envelope
from liftlock.ports.hook_store import HookRecord, HookStore, PutHook
from liftlock.services.authorize import Caller
from liftlock.services.fire_hook import ActionGuard, GuardRefusal
from liftlock.services.hooks import Hooks

ACTOR = "liftlock/operations"


class ConfiguredOperations:
    """Operations by name, each with its compiled hook."""

    def __init__(self, told: OperationSet, store: HookStore, hooks: Hooks) -> None:
        """Compile everything; errors as `hook_of`: a broken input schema is found at the start, not at a request."""
        self.told = told
        self._hooks = {name: compiled(each) for name, each in told.operations.items()}
        self._store = store
        self._keeping = hooks

    def operation(self, name: str) -> Operation:
        """Return the operation; NotFoundError lists those that there are."""
        found = self.told.operations.get(name)
        if found is None:
            known = ", ".join(sorted(self.told.operations)) or "none"
            raise NotFoundError(f"operation {name[:80]!r} is not configured; there are: {known}")
        return found

    def find(self, name: str) -> Operation | None:
        """Return the operation, or None if it is not configured (any more)."""
        return self.told.operations.get(name)

    def hook(self, name: str) -> CompiledHook:
        """Return the compiled hook of an operation that is there."""
        return self._hooks[name]

    async def stored_hook(self, name: str, now: datetime) -> HookRecord:
        """Return the hook as stored, brought in line with the configuration first."""
        wanted = self._hooks[name].definition
        there = await self._store.hook(HOOK_GROUP, name)
        if there is not None and there.version == wanted.version and there.managed:
            return there
        record = self._keeping.record_of(wanted, now, managed=True)
        audit = AuditRecord(
            ACTOR, "operations.configure", f"hook/{wanted.name}", "changed", {"hookVersion": wanted.version}
        )
        await self._store.commit(Envelope(now, audit=(audit,), records=(PutHook(record),)))
        return record


class OnlyByRequest:
    """Why the hook of an operation does not fire by itself."""

    rule = "operation-only"
    message = (
        "it is stage 1 of an operation, which starts by a request alone: `liftlock operation request`, or"
        " POST /api/operations/v1/request/<operation>"
    )


class GuardOperations:
    """Implements `services.fire_hook.ActionGuard`: refuses operations' hooks, and asks `inner` about the others."""

    def __init__(self, inner: ActionGuard) -> None:
        self._inner = inner

    async def check(self, hook: HookRecord, payload: Any, caller: Caller) -> GuardRefusal | None:
        """Return why the managed `hook` must not fire, or None if it may."""
        if hook.hook_group_id == HOOK_GROUP:
            return OnlyByRequest()
        return await self._inner.check(hook, payload, caller)
