"""Stores that keep changes back, so that many are decided one by one and made in one transaction.

Each change is decided by the service that always decides it, on what was there before all of them. So what one of them
gives is nobody's yet while another one is decided.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from liftlock.ports.access_store import (
    AccessStore,
    AccessWrite,
    ClientRecord,
    DeleteEntity,
    PutEntity,
    RoleRecord,
)
from liftlock.ports.envelope import AuditRecord, Envelope, Event
from liftlock.ports.hook_store import AddHook, DropHook, HookRecord, HookStore, ReplaceHook


class Gathered:
    """What was kept back so far: writes of clients and roles, records of hooks, and the trail of all of them."""

    def __init__(self) -> None:
        self.writes: list[AccessWrite] = []
        self.records: list[Any] = []
        self.audit: list[AuditRecord] = []
        self.events: list[Event] = []

    def __bool__(self) -> bool:
        return bool(self.audit)

    def trail(self, envelope: Envelope) -> None:
        """Keep the audit records and events of a change."""
        self.audit += envelope.audit
        self.events += envelope.events


class GatheredAccess:
    """Implements `ports.access_store.ClientStore` and `RoleStore`: reads what is stored, keeps writes back."""

    def __init__(self, store: AccessStore, gathered: Gathered) -> None:
        self._store = store
        self._gathered = gathered

    async def client(self, client_id: str) -> ClientRecord | None:
        return await self._store.client(client_id)

    async def list_clients(self, *, prefix: str, after: str, limit: int) -> list[ClientRecord]:
        return await self._store.list_clients(prefix=prefix, after=after, limit=limit)

    async def put_client(self, record: ClientRecord, envelope: Envelope, *, create: bool) -> None:
        self._gathered.writes.append(PutEntity(record, create))
        self._gathered.trail(envelope)

    async def delete_client(self, client_id: str, envelope: Envelope) -> bool:
        self._gathered.writes.append(DeleteEntity("client", client_id))
        self._gathered.trail(envelope)
        return True

    async def expired_clients(self, now: datetime, *, limit: int) -> list[str]:
        return await self._store.expired_clients(now, limit=limit)

    async def role(self, role_id: str) -> RoleRecord | None:
        return await self._store.role(role_id)

    async def list_roles(self, *, prefix: str, after: str, limit: int) -> list[RoleRecord]:
        return await self._store.list_roles(prefix=prefix, after=after, limit=limit)

    async def put_role(self, record: RoleRecord, actor: str, envelope: Envelope, *, create: bool) -> None:
        self._gathered.writes.append(PutEntity(record, create))
        self._gathered.trail(envelope)

    async def delete_role(self, role_id: str, actor: str, envelope: Envelope) -> bool:
        self._gathered.writes.append(DeleteEntity("role", role_id))
        self._gathered.trail(envelope)
        return True


class GatheredHooks:
    """Implements `ports.hook_store.HookChanges`: reads what is stored, keeps writes back."""

    def __init__(self, store: HookStore, gathered: Gathered) -> None:
        self._store = store
        self._gathered = gathered

    async def hook(self, hook_group_id: str, hook_id: str) -> HookRecord | None:
        return await self._store.hook(hook_group_id, hook_id)

    async def create(self, record: HookRecord, envelope: Envelope) -> None:
        self._gathered.records.append(AddHook(record))
        self._gathered.trail(envelope)

    async def replace(self, record: HookRecord, expected: str, envelope: Envelope) -> None:
        self._gathered.records.append(ReplaceHook(record, expected))
        self._gathered.trail(envelope)

    async def delete(self, hook_group_id: str, hook_id: str, envelope: Envelope) -> bool:
        self._gathered.records.append(DropHook(hook_group_id, hook_id))
        self._gathered.trail(envelope)
        return True
