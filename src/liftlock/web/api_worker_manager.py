"""The worker-manager service over HTTP: pools of workers that are started elsewhere.

Source: docs/reference/worker-manager.md
"""

from __future__ import annotations

from typing import Any

from liftlock.services.worker_pools import PROVIDER, WorkerPools, worker_wire
from liftlock.services.workers import Workers, is_quarantined
from liftlock.values.ids import task_queue_id as parse_pool_id
from liftlock.values.instants import to_ms
from liftlock.web.api_queue_workers import queue_of
from liftlock.web.paging import QUERY, limit_of, number_after, texts_after, token
from liftlock.web.routing import ApiRequest, Handler, Method, Route

_WORKER = "/workers/<workerPoolId>/<workerGroup>/<workerId>"


def _pool_of(request: ApiRequest) -> str:
    return parse_pool_id(request.params["workerPoolId"])


def _key_of(request: ApiRequest) -> tuple[str, str, str]:
    return _pool_of(request), request.params["workerGroup"], request.params["workerId"]


class _Pools:
    def __init__(self, pools: WorkerPools, workers: Workers) -> None:
        self._pools = pools
        self._workers = workers

    async def providers(self, request: ApiRequest) -> object:
        request.caller.require("worker-manager:list-providers")
        return {"providers": [{"providerId": PROVIDER, "providerType": PROVIDER}]}

    async def create_pool(self, request: ApiRequest) -> object:
        return await self._pools.put_pool(
            request.caller, _pool_of(request), request.payload, request.now, create=True
        )

    async def update_pool(self, request: ApiRequest) -> object:
        return await self._pools.put_pool(
            request.caller, _pool_of(request), request.payload, request.now, create=False
        )

    async def delete_pool(self, request: ApiRequest) -> object:
        return await self._pools.delete_pool(request.caller, _pool_of(request), request.now)

    async def pool(self, request: ApiRequest) -> object:
        return await self._pools.pool(request.caller, _pool_of(request))

    async def pools(self, request: ApiRequest) -> object:
        limit = limit_of(request.query)
        [after] = texts_after(request.query, 1)
        page = await self._pools.pools(request.caller, after, limit)
        answer: dict[str, Any] = {"workerPools": page}
        return (
            {**answer, "continuationToken": token(page[-1]["workerPoolId"])} if len(page) == limit else answer
        )

    async def create_worker(self, request: ApiRequest) -> object:
        return await self._pools.put_worker(
            request.caller, _key_of(request), request.payload, request.now, create=True
        )

    async def update_worker(self, request: ApiRequest) -> object:
        return await self._pools.put_worker(
            request.caller, _key_of(request), request.payload, request.now, create=False
        )

    async def worker(self, request: ApiRequest) -> object:
        return await self._pools.worker(request.caller, _key_of(request))

    async def remove_worker(self, request: ApiRequest) -> object:
        await self._pools.remove_worker(request.caller, _key_of(request), request.now)
        return None

    async def workers(self, request: ApiRequest) -> object:
        limit = limit_of(request.query)
        group, worker = texts_after(request.query, 2)
        page = await self._pools.workers(
            request.caller, _pool_of(request), request.params.get("workerGroup"), (group, worker), limit
        )
        wanted = request.query.get("state")
        shown = [one for one in page if wanted in (None, one.document["state"])]
        # A static pool's workers come from no launch configuration, so that none has the one asked for.
        shown = [] if "launchConfigId" in request.query else shown
        answer: dict[str, Any] = {"workers": [worker_wire(one) for one in shown]}
        if len(page) < limit:
            return answer
        return {**answer, "continuationToken": token(page[-1].worker_group, page[-1].worker_id)}

    async def register(self, request: ApiRequest) -> object:
        return await self._pools.register(request.caller, request.payload, request.now)

    async def reregister(self, request: ApiRequest) -> object:
        return await self._pools.reregister(request.caller, request.payload, request.now)

    async def should_terminate(self, request: ApiRequest) -> object:
        return await self._pools.should_terminate(request.caller, _key_of(request), request.now)

    async def report_error(self, request: ApiRequest) -> object:
        return await self._pools.report_error(request.caller, _pool_of(request), request.payload, request.now)

    async def errors(self, request: ApiRequest) -> object:
        limit = limit_of(request.query)
        before = number_after(request.query) or to_ms(request.now) + 1
        page = await self._pools.errors(request.caller, _pool_of(request), before, limit)
        wanted = request.query.get("errorId")
        shown = [one.document for one in page if wanted in (None, one.document["errorId"])]
        shown = [] if "launchConfigId" in request.query else shown
        answer: dict[str, Any] = {"workerPoolErrors": shown}
        return {**answer, "continuationToken": token(page[-1].reported_ms)} if len(page) == limit else answer

    async def error_totals(self, request: ApiRequest) -> object:
        pool = parse_pool_id(request.query.get("workerPoolId", ""))
        return await self._pools.error_totals(request.caller, pool, request.now)

    async def launch_configs(self, request: ApiRequest) -> object:
        return {
            "workerPoolLaunchConfigs": await self._pools.launch_configs(request.caller, _pool_of(request))
        }

    async def seen(self, request: ApiRequest) -> object:
        params = request.params
        found = await self._workers.get(
            request.caller, queue_of(request), params["workerGroup"], params["workerId"]
        )
        return await self._workers.wire_of(found)

    async def all_seen(self, request: ApiRequest) -> object:
        limit = limit_of(request.query)
        group, worker = texts_after(request.query, 2)
        page = await self._workers.listed(request.caller, queue_of(request), (group, worker), limit)
        wanted = request.query.get("quarantined")
        shown = [
            one for one in page if wanted is None or is_quarantined(one, request.now) == (wanted == "true")
        ]
        if (
            "launchConfigId" in request.query
            or request.query.get("workerState", "standalone") != "standalone"
        ):
            shown = []  # those that only claimed are started by nobody here: their state is "standalone"
        answer: dict[str, Any] = {"workers": [await self._workers.wire_of(one) for one in shown]}
        if len(page) < limit:
            return answer
        return {**answer, "continuationToken": token(page[-1].worker_group, page[-1].worker_id)}


def _route(method: Method, path: str, name: str, handler: Handler, title: str, **more: Any) -> Route:
    return Route(
        service="worker-manager", method=method, path=path, name=name, handler=handler, title=title, **more
    )


def routes(pools: WorkerPools, workers: Workers) -> list[Route]:
    """Return the routes of the worker-manager service."""
    found = _Pools(pools, workers)
    return [*_pool_routes(found), *_worker_routes(found)]


def _pool_routes(found: _Pools) -> list[Route]:
    pool = "/worker-pool/<workerPoolId>"
    return [
        _route("GET", "/providers", "listProviders", found.providers, "List Providers",
               scopes="worker-manager:list-providers", query=QUERY, output="worker-manager/provider-list"),
        _route("PUT", pool, "createWorkerPool", found.create_pool, "Create Worker Pool",
               input="worker-manager/create-worker-pool-request",
               scopes={"AllOf": ["worker-manager:create-worker-pool:<workerPoolId>",
                                 "worker-manager:provider:<providerId>"]}, output="worker-manager/worker-pool-full"),
        _route("POST", pool, "updateWorkerPool", found.update_pool, "Update Worker Pool", stability="experimental",
               input="worker-manager/update-worker-pool-request",
               scopes={"AllOf": ["worker-manager:update-worker-pool:<workerPoolId>",
                                 "worker-manager:provider:<providerId>"]}, output="worker-manager/worker-pool-full"),
        _route("DELETE", pool, "deleteWorkerPool", found.delete_pool, "Delete Worker Pool",
               scopes="worker-manager:delete-worker-pool:<workerPoolId>", output="worker-manager/worker-pool-full"),
        _route("GET", pool, "workerPool", found.pool, "Get Worker Pool",
               scopes="worker-manager:get-worker-pool:<workerPoolId>", output="worker-manager/worker-pool-full"),
        _route("GET", f"{pool}/stats", "workerPoolStats", found.pool, "Get Worker Pool Statistics", stability="experimental",
               scopes="worker-manager:get-worker-pool:<workerPoolId>", output="worker-manager/worker-pool-full"),
        _route("GET", "/worker-pools", "listWorkerPools", found.pools, "List All Worker Pools",
               scopes="worker-manager:list-worker-pools", query=QUERY, output="worker-manager/worker-pool-list"),
        _route("GET", "/worker-pools/stats", "listWorkerPoolsStats", found.pools, "List Worker Pools' Statistics", stability="experimental",
               scopes="worker-manager:list-worker-pools", query=QUERY, output="worker-manager/worker-pool-list"),
        _route("GET", f"{pool}/launch-configs", "listWorkerPoolLaunchConfigs", found.launch_configs,
               "Launch configurations of a Pool", stability="experimental", query=(*QUERY, "includeArchived"),
               scopes="worker-manager:get-worker-pool:<workerPoolId>", output="worker-manager/launch-config-list"),
        _route("GET", "/worker-pool-errors/stats", "workerPoolErrorStats", found.error_totals,
               "Count a Pool's Errors", stability="experimental", query=("workerPoolId",),
               scopes="worker-manager:list-worker-pool-errors:<workerPoolId>", output="worker-manager/worker-pool-error-stats"),
        _route("POST", "/worker-pool-errors/<workerPoolId>", "reportWorkerError", found.report_error,
               "Report an error from a worker", input="worker-manager/report-worker-error-request",
               scopes={"AllOf": ["assume:worker-pool:<workerPoolId>", "assume:worker-id:<workerGroup>/<workerId>"]}, output="worker-manager/worker-pool-error"),
        _route("GET", "/worker-pool-errors/<workerPoolId>", "listWorkerPoolErrors", found.errors,
               "List Worker Pool Errors", query=(*QUERY, "launchConfigId", "errorId"),
               scopes="worker-manager:list-worker-pool-errors:<workerPoolId>", output="worker-manager/worker-pool-error-list"),
    ]  # fmt: skip


def _worker_routes(found: _Pools) -> list[Route]:
    key = "<workerPoolId>/<workerGroup>/<workerId>"
    seen = "/provisioners/<provisionerId>/worker-types/<workerType>/workers"
    create = {"input": "worker-manager/create-worker-request"}
    return [
        _route("GET", "/workers/<workerPoolId>", "listWorkersForWorkerPool", found.workers, "Workers in a Pool",
               scopes="worker-manager:list-workers:<workerPoolId>", query=(*QUERY, "launchConfigId", "state"), output="worker-manager/worker-list"),
        _route("GET", "/workers/<workerPoolId>/<workerGroup>", "listWorkersForWorkerGroup", found.workers,
               "Workers in a Group", scopes="worker-manager:list-workers:<workerPoolId>/<workerGroup>", query=QUERY, output="worker-manager/worker-list"),
        _route("GET", _WORKER, "worker", found.worker, "Get a Worker", scopes=f"worker-manager:get-worker:{key}", output="worker-manager/worker-full"),
        _route("PUT", _WORKER, "createWorker", found.create_worker, "Create a Worker",
               scopes=f"worker-manager:create-worker:{key}", **create, output="worker-manager/worker-full"),
        _route("POST", _WORKER, "updateWorker", found.update_worker, "Update a Worker",
               scopes=f"worker-manager:update-worker:{key}", **create, output="worker-manager/worker-full"),
        _route("DELETE", _WORKER, "removeWorker", found.remove_worker, "Remove a Worker",
               scopes=f"worker-manager:remove-worker:{key}"),
        _route("GET", f"{_WORKER}/should-terminate", "shouldWorkerTerminate", found.should_terminate,
               "Should worker terminate", stability="experimental", scopes=f"worker-manager:should-worker-terminate:{key}", output="worker-manager/should-worker-terminate-response"),
        _route("POST", "/worker/register", "registerWorker", found.register, "Register a running worker",
               input="worker-manager/register-worker-request", output="worker-manager/register-worker-response"),
        _route("POST", "/worker/reregister", "reregisterWorker", found.reregister, "Reregister a Worker", stability="experimental",
               input="worker-manager/reregister-worker-request", scopes=f"worker-manager:reregister-worker:{key}", output="worker-manager/register-worker-response"),
        _route("GET", seen, "listWorkers", found.all_seen, "List Workers That Claimed", stability="experimental",
               scopes="queue:list-workers:<provisionerId>/<workerType>", query=(*QUERY, "launchConfigId", "quarantined", "workerState"), output="queue/list-workers-response"),
        _route("GET", f"{seen}/<workerGroup>/<workerId>", "getWorker", found.seen, "Get a Worker That Claimed", stability="experimental",
               scopes="queue:get-worker:<provisionerId>/<workerType>/<workerGroup>/<workerId>", output="queue/worker-response"),
    ]  # fmt: skip
