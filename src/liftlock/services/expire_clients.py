"""Clients that are to be deleted when they have expired."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from liftlock.errors import StaleSnapshotError
from liftlock.services.authorize import Authorizer
from liftlock.services.clients import Clients

BATCH: Final = 100
"""Deletions of one call, at most."""


class ExpireClients:
    """Deletes them, for a loop to call now and then; several control planes may do so at once."""

    def __init__(self, clients: Clients, authorizer: Authorizer) -> None:
        self._clients = clients
        self._authorizer = authorizer

    async def __call__(self, now: datetime) -> int:
        """Return how many were deleted, at most `BATCH`."""
        deleted = 0
        for _ in range(BATCH):
            caller = await self._authorizer.internal("liftlock/expiry", ["auth:delete-client:*"], now)
            try:
                if not await self._clients.delete_one_expired(caller, now):
                    break
                deleted += 1
            except StaleSnapshotError:
                self._authorizer.expire()
        return deleted
