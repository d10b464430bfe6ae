"""The purge-cache service over HTTP.

Source: docs/reference/purge-cache.md
"""

from __future__ import annotations

from liftlock.services.purge_cache import PurgeCache, page_wire
from liftlock.values.ids import task_queue_id as parse_pool_id
from liftlock.values.instants import parse_instant
from liftlock.web.paging import QUERY, limit_of, texts_after, token
from liftlock.web.routing import ApiRequest, Route


class _PurgeCache:
    def __init__(self, purges: PurgeCache) -> None:
        self._purges = purges

    async def purge(self, request: ApiRequest) -> object:
        pool = parse_pool_id(request.params["workerPoolId"])
        await self._purges.purge(request.caller, pool, request.payload["cacheName"], request.now)
        return None

    async def of_pool(self, request: ApiRequest) -> object:
        since = request.query.get("since")
        instant = None if since is None else parse_instant(since, what="since")
        pool = parse_pool_id(request.params["workerPoolId"])
        return await self._purges.requests(request.caller, pool, instant, request.now)

    async def all(self, request: ApiRequest) -> object:
        limit = limit_of(request.query)
        pool, cache = texts_after(request.query, 2)
        page = await self._purges.all(request.caller, (pool, cache), limit)
        answer = page_wire(page)
        if len(page) < limit:
            return answer
        return {**answer, "continuationToken": token(page[-1].pool_id, page[-1].cache_name)}


def routes(purges: PurgeCache) -> list[Route]:
    """Return the routes of the purge-cache service."""
    found = _PurgeCache(purges)
    return [
        Route(service="purge-cache", method="POST", path="/purge-cache/<workerPoolId*>", name="purgeCache",
              handler=found.purge, title="Purge Worker Cache", input="purge-cache/purge-cache-request",
              scopes="purge-cache:<workerPoolId>:<cacheName>"),
        Route(service="purge-cache", method="GET", path="/purge-cache/list", name="allPurgeRequests",
              handler=found.all, title="All Open Purge Requests", query=QUERY,
              scopes="purge-cache:all-purge-requests", output="purge-cache/all-purge-cache-request-list"),
        Route(service="purge-cache", method="GET", path="/purge-cache/<workerPoolId*>", name="purgeRequests",
              handler=found.of_pool, title="Open Purge Requests for a worker pool", query=("since",),
              scopes="purge-cache:purge-requests::<workerPoolId>", output="purge-cache/purge-cache-request-list"),
    ]  # fmt: skip
