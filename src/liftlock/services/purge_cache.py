"""Which caches workers must not use any more.

Source: docs/reference/purge-cache.md
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from liftlock.ports.small_stores import PurgeRequest, PurgeStore
from liftlock.services.authorize import Caller
from liftlock.values.instants import format_ms, to_ms

KEPT = timedelta(days=30)
"""How long a request is remembered: caches that were not used for longer are gone anyway."""


class PurgeCache:
    """Takes and lists requests to purge caches."""

    def __init__(self, store: PurgeStore) -> None:
        self._store = store

    async def purge(self, caller: Caller, pool_id: str, cache_name: str, now: datetime) -> None:
        """Ask the workers of the pool not to use caches of that name made before now."""
        caller.require(f"purge-cache:{pool_id}:{cache_name}")
        audit = caller.record("purge-cache.purgeCache", f"cache/{pool_id}/{cache_name}")
        await self._store.request(PurgeRequest(pool_id, cache_name, to_ms(now)), caller.envelope(now, audit))

    async def requests(
        self, caller: Caller, pool_id: str, since: datetime | None, now: datetime
    ) -> dict[str, Any]:
        """Return the pool's requests since `since`, or all that are remembered."""
        caller.require(f"purge-cache:purge-requests::{pool_id}")
        found = await self._store.of_pool(pool_id, to_ms(since or now - KEPT))
        return {"requests": [_wire(one) for one in found]}

    async def all(self, caller: Caller, after: tuple[str, str], limit: int) -> list[PurgeRequest]:
        """Return a page of all requests."""
        caller.require("purge-cache:all-purge-requests")
        return await self._store.all(after, limit)


def page_wire(requests: list[PurgeRequest]) -> dict[str, Any]:
    """Return requests of all pools on the wire."""
    return {"requests": [{"workerPoolId": one.pool_id, **_wire(one)} for one in requests]}


def _wire(request: PurgeRequest) -> dict[str, Any]:
    provisioner, worker_type = request.pool_id.split("/")
    return {
        "provisionerId": provisioner,
        "workerType": worker_type,
        "cacheName": request.cache_name,
        "before": format_ms(request.before_ms),
    }
