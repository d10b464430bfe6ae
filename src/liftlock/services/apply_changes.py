"""Make many changes of roles, clients and hooks in one transaction: all of them, or none.

Each is decided as if it were asked for alone, with the caller's scopes, and has its own audit record and event. What
goes together is the commit, the nonce, and the check that all roles fit together.

Source: docs/reference/configuration.md#changes
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from liftlock.errors import InputInvalidError, LiftlockError, StaleSnapshotError, StorageError
from liftlock.ports.access_store import AccessStore, DeleteEntity, PutEntity, RoleRecord
from liftlock.ports.entropy import Entropy
from liftlock.ports.envelope import Envelope
from liftlock.ports.hook_store import HookStore
from liftlock.ports.sealing import Sealer
from liftlock.services.access_snapshot import AccessCache
from liftlock.services.authorize import Caller
from liftlock.services.clients import ClientInput, Clients
from liftlock.services.gathered_changes import Gathered, GatheredAccess, GatheredHooks
from liftlock.services.hooks import ChangeHooks
from liftlock.services.roles import Roles, check_together

_TURN: Final = 16
"""Changes after which other requests get their turn."""


class RoleInput(msgspec.Struct, frozen=True):
    """What a role shall be."""

    description: str
    scopes: tuple[str, ...]


class Asked(msgspec.Struct, frozen=True):
    """One change. `content` is what it shall be (a hook's definition in wire form), None for a deletion."""

    kind: Literal["Role", "Client", "Hook"]
    id: str
    create: bool
    content: RoleInput | ClientInput | dict[str, Any] | None

    @property
    def name(self) -> str:
        """`<Kind>=<id>`."""
        return f"{self.kind}={self.id}"


class ApplyChanges:
    """Makes changes together."""

    def __init__(
        self,
        access_store: AccessStore,
        hooks: HookStore,
        access: AccessCache,
        sealer: Sealer,
        entropy: Entropy,
    ) -> None:
        self._access_store = access_store
        self._hooks = hooks
        self._access = access
        self._sealer = sealer
        self._entropy = entropy

    async def __call__(self, caller: Caller, asked: Sequence[Asked], now: datetime) -> dict[str, str]:
        """Make all the changes, and return the access tokens of the clients that are new, by id.

        Raises:
            InputInvalidError: one is named twice.
            Whatever refuses one of them alone, with its name before the message; then nothing was changed.
        """
        if len({each.name for each in asked}) != len(asked):
            raise InputInvalidError("changes: the same resource is named more than once")
        gathered = Gathered()
        tokens: dict[str, str] = {}
        store = GatheredAccess(self._access_store, gathered)
        make = _Make(
            Roles(store, self._access, _later),
            Clients(store, self._access, self._sealer, self._entropy),
            ChangeHooks(GatheredHooks(self._hooks, gathered), self._sealer, self._entropy),
        )
        for number, each in enumerate(asked):
            if number % _TURN == _TURN - 1:
                await asyncio.sleep(0)
            try:
                token = await make(msgspec.structs.replace(caller, uses={}), each, now)
            except (StaleSnapshotError, StorageError):
                raise
            except LiftlockError as error:
                raise type(error)(f"{each.name}: {error.message}", **error.details) from error
            if token is not None:
                tokens[each.id] = token
        await self._commit(caller, gathered, now)
        return tokens

    async def _commit(self, caller: Caller, gathered: Gathered, now: datetime) -> None:
        if not gathered:
            return
        changed = [
            write.record
            for write in gathered.writes
            if isinstance(write, PutEntity) and isinstance(write.record, RoleRecord)
        ]
        gone = [
            write.id for write in gathered.writes if isinstance(write, DeleteEntity) and write.kind == "role"
        ]
        if changed:
            check_together((await self._access.current(now)).book, changed, gone)
        envelope = Envelope(
            now=now,
            nonce=caller.nonce,
            access_version=caller.access_version,
            audit=tuple(gathered.audit),
            events=tuple(gathered.events),
            records=tuple(gathered.records),
        )
        await self._access_store.change(gathered.writes, caller.client_id, envelope)
        self._access.expire()


class _Make:
    """Has each change decided by its own service, and kept back."""

    def __init__(self, roles: Roles, clients: Clients, hooks: ChangeHooks) -> None:
        self._roles = roles
        self._clients = clients
        self._hooks = hooks

    async def __call__(self, caller: Caller, asked: Asked, now: datetime) -> str | None:
        """Decide one; return the token of a client that is new."""
        match asked:
            case Asked(kind="Role", content=RoleInput(description, scopes)):
                change = self._roles.create if asked.create else self._roles.update
                await change(caller, asked.id, description, scopes, now)
            case Asked(kind="Role"):
                await self._roles.delete(caller, asked.id, now)
            case Asked(kind="Client", content=ClientInput() as given, create=True):
                return (await self._clients.create(caller, asked.id, given, now)).access_token
            case Asked(kind="Client", content=ClientInput() as given):
                await self._clients.update(caller, asked.id, given, now)
            case Asked(kind="Client"):
                await self._clients.delete(caller, asked.id, now)
            case _:
                await self._hook(caller, asked, now)
        return None

    async def _hook(self, caller: Caller, asked: Asked, now: datetime) -> None:
        group, _, hook = asked.id.partition("/")
        if isinstance(asked.content, dict):
            change = self._hooks.create if asked.create else self._hooks.update
            await change(caller, group, hook, asked.content, now)
        else:
            await self._hooks.remove(caller, group, hook, now)


async def _later(_changed: RoleRecord, _now: datetime) -> None:
    """Check nothing: all roles are checked together at the end."""
