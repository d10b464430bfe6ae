"""Clients and roles as stored, and every change of them.

Each change advances the access version by one, in the transaction that makes it; whoever decided on an older version
decides again. Listings are sorted by id.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol

import msgspec

from liftlock.ports.envelope import Envelope

EntityKind = Literal["client", "role"]


class ClientRecord(msgspec.Struct, frozen=True):
    """A client; `sealed_token` is its access token, sealed for `client/<client_id>`. `version` counts its changes from 1."""

    client_id: str
    description: str
    sealed_token: str
    scopes: tuple[str, ...]
    expires: datetime
    disabled: bool
    delete_on_expiration: bool
    created: datetime
    last_modified: datetime
    last_used: datetime
    last_rotated: datetime
    version: int = 1


class RoleRecord(msgspec.Struct, frozen=True):
    """A role; `version` counts its changes from 1, and every version is kept."""

    role_id: str
    description: str
    scopes: tuple[str, ...]
    created: datetime
    last_modified: datetime
    version: int = 1


class RoleVersion(msgspec.Struct, frozen=True):
    """One kept version of a role: what it gave from `at` on, and who said so. `scopes` None: it was deleted."""

    version: int
    actor: str
    at: datetime
    description: str
    scopes: tuple[str, ...] | None


class AccessChanges(msgspec.Struct, frozen=True):
    """What changed up to `version`: clients as they are now, ids of those that are gone, and (if any changed) all roles."""

    version: int
    clients: tuple[ClientRecord, ...]
    gone: tuple[str, ...]
    roles: tuple[RoleRecord, ...] | None


class HistoryEntry(msgspec.Struct, frozen=True):
    """One audit record of a subject; `id` grows with time."""

    id: int
    at: datetime
    actor: str
    action: str
    details: dict[str, Any]


class PutEntity(msgspec.Struct, frozen=True):
    """One of many changes that are made together: the entity becomes `record`; `create`: it is new."""

    record: ClientRecord | RoleRecord
    create: bool


class DeleteEntity(msgspec.Struct, frozen=True):
    """One of many changes that are made together: the entity is deleted, if it is there."""

    kind: EntityKind
    id: str


AccessWrite = PutEntity | DeleteEntity


class ClientStore(Protocol):
    """Keeps clients; writes as those of `AccessStore`."""

    async def client(self, client_id: str) -> ClientRecord | None:
        """Return the client, or None."""
        ...

    async def list_clients(self, *, prefix: str, after: str, limit: int) -> list[ClientRecord]:
        """Return up to `limit` clients whose id starts with `prefix` and is greater than `after`."""
        ...

    async def put_client(self, record: ClientRecord, envelope: Envelope, *, create: bool) -> None:
        """Insert the client, or replace the one with its id.

        Raises:
            ConflictError: `create`, and it exists.
            NotFoundError: not `create`, and it does not exist.
        """
        ...

    async def delete_client(self, client_id: str, envelope: Envelope) -> bool:
        """Delete the client; return whether it existed. If not, nothing changes but that the envelope commits."""
        ...

    async def expired_clients(self, now: datetime, *, limit: int) -> list[str]:
        """Return up to `limit` ids of clients that are to be deleted on expiry and have expired."""
        ...


class RoleStore(Protocol):
    """Keeps roles; writes as those of `AccessStore`."""

    async def role(self, role_id: str) -> RoleRecord | None:
        """Return the role, or None."""
        ...

    async def list_roles(self, *, prefix: str, after: str, limit: int) -> list[RoleRecord]:
        """Return up to `limit` roles whose id starts with `prefix` and is greater than `after`."""
        ...

    async def put_role(self, record: RoleRecord, actor: str, envelope: Envelope, *, create: bool) -> None:
        """Insert the role, or replace the one with its id, and keep the version; errors as `put_client`."""
        ...

    async def delete_role(self, role_id: str, actor: str, envelope: Envelope) -> bool:
        """Delete the role; return whether it existed. Its versions are kept."""
        ...


class AccessStore(ClientStore, RoleStore, Protocol):
    """Keeps clients and roles.

    Every write needs an envelope with its `access_version`, and raises StaleSnapshotError if that is not the present
    one: two changes decided at once never both apply.
    """

    async def since(self, version: int) -> AccessChanges | None:
        """Return what changed after `version` (0: everything there is), or None if nothing did."""
        ...

    async def touch_clients(self, client_ids: Iterable[str], at: datetime) -> None:
        """Record that these clients were used at `at`; no change of access."""
        ...

    async def change(self, writes: Sequence[AccessWrite], actor: str, envelope: Envelope) -> None:
        """Make all the changes in order, or none of them; each takes a version. Errors as of those that make one."""
        ...

    async def role_versions(self, role_id: str) -> list[RoleVersion]:
        """Return every version of the role, the oldest first."""
        ...

    async def history(self, subject: str, *, before: int, limit: int) -> list[HistoryEntry]:
        """Return up to `limit` audit records of `subject` (`client/<id>`) with an id less than `before`, newest first."""
        ...
