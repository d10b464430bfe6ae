"""Clients and roles in memory, at one version, so that most requests ask the database nothing about them.

Another process's change is seen within `POLL` by requests that read; a request that writes carries the version it was
decided on, and the store refuses an old one. This process's own changes are seen at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from liftlock.domain.credentials.authentication import KnownClient
from liftlock.domain.scopes.roles import Role, RoleBook
from liftlock.ports.access_store import AccessStore, ClientRecord
from liftlock.ports.sealing import Sealer

POLL: Final = timedelta(seconds=1)
USE_RECORDED_EVERY: Final = timedelta(hours=6)
STATIC_PREFIX: Final = "static/"
FAR_FUTURE: Final = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticClient:
    """A client that the configuration gives: its id starts with `static/`, nobody can change it, it is never stored."""

    client_id: str
    access_token: str
    scopes: tuple[str, ...]
    description: str = ""

    def __repr__(self) -> str:
        return f"StaticClient(client_id={self.client_id!r}, …)"


class Snapshot:
    """Clients and roles at `version`. Tokens are unsealed and scopes expanded when first asked for."""

    def __init__(
        self, version: int, book: RoleBook, records: dict[str, ClientRecord], cache: AccessCache
    ) -> None:
        self.version = version
        self.book = book
        self._records = records
        self._cache = cache
        self._known: dict[str, KnownClient | None] = {}

    def client(self, client_id: str) -> KnownClient | None:
        """Return the client with its token, or None."""
        try:
            return self._known[client_id]
        except KeyError:
            known = self._load(client_id)
            if known is not None:
                self._known[client_id] = known
            return known

    def enabled(self) -> list[str]:
        """Return the ids of all clients that are not disabled, those of the configuration first."""
        stored = [client_id for client_id, record in self._records.items() if not record.disabled]
        return [*self._cache.static, *stored]

    def stored(self) -> dict[str, tuple[str, ...]]:
        """Return the scopes, not expanded, of every client but those of the configuration, disabled ones included."""
        return {client_id: record.scopes for client_id, record in self._records.items()}

    def usable(self, now: datetime) -> dict[str, tuple[str, ...]]:
        """Return the scopes, not expanded, of every client that may act at `now`."""
        configured = {client.client_id: client.scopes for client in self._cache.static.values()}
        return configured | {
            client_id: record.scopes
            for client_id, record in self._records.items()
            if not record.disabled and now < record.expires
        }

    def last_used(self, client_id: str) -> datetime | None:
        """Return when the stored client was last used, as far as is recorded; None for others."""
        record = self._records.get(client_id)
        return None if record is None else record.last_used

    def _load(self, client_id: str) -> KnownClient | None:
        static = self._cache.static.get(client_id)
        if static is not None:
            token, scopes, expires, disabled = static.access_token.encode(), static.scopes, FAR_FUTURE, False
        else:
            record = self._records.get(client_id)
            if record is None:
                return None
            token = self._cache.unseal(record)
            scopes, expires, disabled = record.scopes, record.expires, record.disabled
        return KnownClient(client_id, token, scopes, self.book.expand(scopes), expires, disabled)


def identity_of(client_id: str) -> str:
    """Return the row's identity for which a client's token is sealed."""
    return f"client/{client_id}"


class AccessCache:
    """Holds the newest snapshot and renews it."""

    def __init__(self, store: AccessStore, sealer: Sealer, static: Iterable[StaticClient] = ()) -> None:
        self.static = {client.client_id: client for client in static}
        for client_id in self.static:
            if not client_id.startswith(STATIC_PREFIX):
                raise AssertionError(f"{client_id}: a configured client's id starts with {STATIC_PREFIX}")
        self._store = store
        self._sealer = sealer
        self._records: dict[str, ClientRecord] = {}
        self._snapshot = Snapshot(0, RoleBook(), {}, self)
        self._checked: datetime | None = None
        self._renewing = asyncio.Lock()
        self._noted: dict[str, datetime] = {}
        self._unwritten: set[str] = set()

    async def current(self, now: datetime) -> Snapshot:
        """Return a snapshot that was the newest at most `POLL` before `now`."""
        if self._checked is None or not timedelta() <= now - self._checked < POLL:
            async with self._renewing:
                if self._checked is None or not timedelta() <= now - self._checked < POLL:
                    await self._renew()
                    self._checked = now
        return self._snapshot

    def expire(self) -> None:
        """Make the next `current` ask the store: something changed."""
        self._checked = None

    async def _renew(self) -> None:
        changes = await self._store.since(self._snapshot.version)
        if changes is None:
            return
        records = dict(self._records)
        for client_id in changes.gone:
            records.pop(client_id, None)
        records.update((record.client_id, record) for record in changes.clients)
        book = self._snapshot.book
        if changes.roles is not None:
            book = RoleBook(Role(record.role_id, record.scopes) for record in changes.roles)
        self._records = records
        self._snapshot = Snapshot(changes.version, book, records, self)

    def unseal(self, record: ClientRecord) -> bytes:
        """Return the client's access token."""
        return self._sealer.unseal(record.sealed_token, identity=identity_of(record.client_id))

    def used(self, client_id: str, now: datetime) -> None:
        """Note that the stored client was used, if that was not recorded within `USE_RECORDED_EVERY`."""
        last = self._noted.get(client_id) or self._snapshot.last_used(client_id)
        if last is not None and now - last >= USE_RECORDED_EVERY:
            self._noted[client_id] = now
            self._unwritten.add(client_id)

    async def record_use(self, now: datetime) -> None:
        """Store which clients were used since the last call; for a loop to call now and then."""
        if self._unwritten:
            used, self._unwritten = self._unwritten, set()
            await self._store.touch_clients(sorted(used), now)
