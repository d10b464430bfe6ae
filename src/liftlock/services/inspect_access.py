"""Looking at access: what scopes expand to, and who changed what."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from liftlock.domain.scopes.satisfaction import ScopeSet
from liftlock.ports.access_store import AccessStore, HistoryEntry
from liftlock.services.access_snapshot import AccessCache
from liftlock.services.authorize import Caller


class InspectAccess:
    """Reads what others decided."""

    def __init__(self, store: AccessStore, access: AccessCache) -> None:
        self._store = store
        self._access = access

    async def expand(self, caller: Caller, scopes: Iterable[str], now: datetime) -> ScopeSet:
        """Return the closure of `scopes`."""
        caller.require("auth:expand-scopes")
        return (await self._access.current(now)).book.expand(scopes)

    async def history(
        self, caller: Caller, entity_type: str, entity_id: str, *, before: int, limit: int
    ) -> tuple[list[HistoryEntry], int | None]:
        """Return up to `limit` records of an entity, newest first, and the id to go on before (None: no more)."""
        caller.require(f"auth:audit-history:{entity_type}")
        return await self._history(f"{entity_type}/{entity_id}", before, limit)

    async def client_history(
        self, caller: Caller, client_id: str, *, before: int, limit: int
    ) -> tuple[list[HistoryEntry], int | None]:
        """Return up to `limit` records of a client, newest first, and the id to go on before (None: no more)."""
        caller.require(f"auth:client-audit-history:{client_id}")
        return await self._history(f"client/{client_id}", before, limit)

    async def _history(self, subject: str, before: int, limit: int) -> tuple[list[HistoryEntry], int | None]:
        found = await self._store.history(subject, before=before, limit=limit + 1)
        return found[:limit], found[limit - 1].id if len(found) > limit else None
