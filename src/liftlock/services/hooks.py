"""Create, change, delete and show hooks, and their trigger tokens."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from liftlock.domain.hooks.definition import HookDefinition, define_hook
from liftlock.domain.hooks.schedule import next_fire
from liftlock.errors import ConflictError, NotFoundError
from liftlock.ports.entropy import Entropy
from liftlock.ports.hook_store import FireRecord, HookChanges, HookRecord, HookStore
from liftlock.ports.sealing import Sealer
from liftlock.services.authorize import Caller
from liftlock.services.fire_hook import token_identity
from liftlock.values import ids

TOKEN_BYTES: Final = 33
NEWEST: Final = 1 << 62
"""Greater than the id of any fire."""


class ChangeHooks:
    """Makes, changes and deletes hooks, for requests and (managed ones) for liftlock itself."""

    def __init__(self, changes: HookChanges, sealer: Sealer, entropy: Entropy) -> None:
        self._changes = changes
        self._sealer = sealer
        self._entropy = entropy

    async def create(
        self, caller: Caller, group: str, hook_id: str, given: Mapping[str, Any], now: datetime
    ) -> HookRecord:
        """Return the hook, created now or, with an equal definition, before.

        Raises:
            ConflictError: it exists with another definition, or is managed.
            Others as `define_hook`, and RefusedError.
        """
        name = _require_modify(caller, group, hook_id)
        definition = define_hook(group, hook_id, given)
        record = self.record_of(definition, now, managed=False)
        existing = await self._changes.hook(group, hook_id)
        if existing is not None and existing.version == record.version and not existing.managed:
            return existing
        audit = caller.record("hooks.createHook", f"hook/{name}", hookVersion=record.version)
        await self._changes.create(record, caller.envelope(now, audit))
        return record

    async def update(
        self, caller: Caller, group: str, hook_id: str, given: Mapping[str, Any], now: datetime
    ) -> HookRecord:
        """Return the hook as it is from now on; a schedule that stays goes on as planned.

        Raises:
            ConflictError: it is managed.
            Others as `define_hook`, and RefusedError, NotFoundError.
        """
        name = _require_modify(caller, group, hook_id)
        definition = define_hook(group, hook_id, given)
        old = await self._unmanaged(group, hook_id)
        made = self.record_of(definition, now, managed=False)
        record = msgspec.structs.replace(made, sealed_token=old.sealed_token, created=old.created)
        if tuple(old.document["schedule"]) == definition.schedule:
            record = msgspec.structs.replace(record, next_fire=old.next_fire, next_task_id=old.next_task_id)
        audit = caller.record(
            "hooks.updateHook", f"hook/{name}", hookVersion=record.version, replaced=old.version
        )
        await self._changes.replace(record, old.version, caller.envelope(now, audit))
        return record

    async def remove(self, caller: Caller, group: str, hook_id: str, now: datetime) -> None:
        """Delete the hook if it exists; its fires are kept. Raises ConflictError if it is managed."""
        name = _name(group, hook_id)
        caller.require(f"hooks:modify-hook:{name}")
        existing = await self._changes.hook(group, hook_id)
        if existing is not None:
            _refuse_managed(existing)
        audit = caller.record("hooks.removeHook", f"hook/{name}", existed=existing is not None)
        await self._changes.delete(group, hook_id, caller.envelope(now, audit))

    def record_of(self, definition: HookDefinition, now: datetime, *, managed: bool) -> HookRecord:
        """Return the record of a new hook, with a token of its own and its first scheduled fire.

        Liftlock's own (managed) hooks are stored by a `PutHook` of it among another change's records.
        """
        return HookRecord(
            document=definition.document,
            version=definition.version,
            sealed_token=self._new_token(definition.name)[1],
            managed=managed,
            next_task_id=self._entropy.slugid(),
            next_fire=next_fire(definition.schedule, now),
            created=now,
            modified=now,
        )

    def _new_token(self, name: str) -> tuple[str, str]:
        """Return a new token, and the same sealed for the hook `name`."""
        token = base64.urlsafe_b64encode(self._entropy.token_bytes(TOKEN_BYTES))
        return token.decode(), self._sealer.seal(token, identity=token_identity(name))

    async def _existing(self, group: str, hook_id: str) -> HookRecord:
        record = await self._changes.hook(group, hook_id)
        if record is None:
            raise NotFoundError(f"hook {group}/{hook_id} does not exist")
        return record

    async def _unmanaged(self, group: str, hook_id: str) -> HookRecord:
        record = await self._existing(group, hook_id)
        _refuse_managed(record)
        return record


class Hooks(ChangeHooks):
    """Keeps hooks, and shows them."""

    def __init__(self, store: HookStore, sealer: Sealer, entropy: Entropy) -> None:
        super().__init__(store, sealer, entropy)
        self._store = store

    async def groups(self, caller: Caller) -> list[str]:
        """Return the groups that have a hook, sorted."""
        caller.require("hooks:list-hooks:")
        return await self._store.groups()

    async def of_group(self, caller: Caller, group: str) -> list[HookRecord]:
        """Return the group's hooks, sorted by id.

        Raises:
            NotFoundError: the group has none.
        """
        caller.require(f"hooks:list-hooks:{ids.hook_group_id(group)}")
        found = await self._store.hooks_of(group)
        if not found:
            raise NotFoundError(f"hook group {group} has no hooks")
        return found

    async def get(self, caller: Caller, group: str, hook_id: str) -> HookRecord:
        """Return the hook."""
        caller.require(f"hooks:get:{ids.hook_group_id(group)}:{ids.hook_id(hook_id)}")
        return await self._existing(group, hook_id)

    async def status(self, caller: Caller, group: str, hook_id: str) -> tuple[HookRecord, FireRecord | None]:
        """Return the hook and its last fire, None if it never fired."""
        name = _name(group, hook_id)
        caller.require(f"hooks:status:{name}")
        record = await self._existing(group, hook_id)
        fires = await self._store.fires(group, hook_id, before=NEWEST, limit=1)
        return record, fires[0] if fires else None

    async def fires(
        self, caller: Caller, group: str, hook_id: str, *, before: int, limit: int
    ) -> list[FireRecord]:
        """Return the hook's fires before the id `before`, the newest first; also those of a hook that was deleted.

        Raises:
            NotFoundError: there is neither the hook nor a fire of it.
        """
        caller.require(f"hooks:list-last-fires:{_name(group, hook_id)}")
        found = await self._store.fires(group, hook_id, before=before, limit=limit)
        if not found:
            await self._existing(group, hook_id)
        return found

    async def token(self, caller: Caller, group: str, hook_id: str, now: datetime) -> str:
        """Return the trigger token, and record that it was shown."""
        name = _name(group, hook_id)
        caller.require(f"hooks:get-trigger-token:{name}")
        record = await self._existing(group, hook_id)
        audit = caller.record("hooks.getTriggerToken", f"hook/{name}", "allowed")
        await self._store.commit(caller.envelope(now, audit))
        return self._sealer.unseal(record.sealed_token, identity=token_identity(name)).decode()

    async def reset_token(self, caller: Caller, group: str, hook_id: str, now: datetime) -> str:
        """Return the new trigger token; the old one stops working."""
        name = _name(group, hook_id)
        caller.require(f"hooks:reset-trigger-token:{name}")
        await self._existing(group, hook_id)
        token, sealed = self._new_token(name)
        audit = caller.record("hooks.resetTriggerToken", f"hook/{name}")
        await self._store.set_token(group, hook_id, sealed, caller.envelope(now, audit))
        return token


def _name(group: str, hook_id: str) -> str:
    return f"{ids.hook_group_id(group)}/{ids.hook_id(hook_id)}"


def _require_modify(caller: Caller, group: str, hook_id: str) -> str:
    """Return the hook's name if the caller may change it, which takes its role's scope as well.

    Without the latter, whoever may write a template would gain what the role has.
    """
    name = _name(group, hook_id)
    caller.require([f"hooks:modify-hook:{name}", f"assume:hook-id:{name}"])
    return name


def _refuse_managed(record: HookRecord) -> None:
    if record.managed:
        raise ConflictError(
            f"hook {record.name} is managed: it changes with the pushes that it belongs to, and only with them"
        )
