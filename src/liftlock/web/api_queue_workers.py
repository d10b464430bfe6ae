"""The queue over HTTP: workers, queues and provisioners.

Source: docs/reference/queue.md#workers
"""

from __future__ import annotations

from typing import Any

from liftlock.errors import NotFoundError, RequestArgumentsError
from liftlock.services.workers import Workers, described_queue, is_quarantined
from liftlock.values.ids import task_queue_id as parse_queue_id
from liftlock.values.instants import format_instant
from liftlock.web.paging import QUERY, limit_of, texts_after, token
from liftlock.web.routing import ApiRequest, Handler, Method, Route

_QUEUE = "/provisioners/<provisionerId>/worker-types/<workerType>"


def queue_of(request: ApiRequest) -> str:
    """Return the queue that provisionerId and workerType of the path name."""
    return parse_queue_id(f"{request.params['provisionerId']}/{request.params['workerType']}")


class _Workers:
    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    async def get(self, request: ApiRequest) -> object:
        params = request.params
        found = await self._workers.get(
            request.caller, queue_of(request), params["workerGroup"], params["workerId"]
        )
        return await self._workers.wire_of(found)

    async def quarantine(self, request: ApiRequest) -> object:
        params = request.params
        found = await self._workers.quarantine(
            request.caller,
            queue_of(request),
            params["workerGroup"],
            params["workerId"],
            request.payload,
            request.now,
        )
        return await self._workers.wire_of(found)

    async def declare(self, request: ApiRequest) -> object:
        params = request.params
        found = await self._workers.declare(
            request.caller,
            queue_of(request),
            params["workerGroup"],
            params["workerId"],
            request.payload,
            request.now,
        )
        return await self._workers.wire_of(found)

    async def listed(self, request: ApiRequest) -> object:
        limit = limit_of(request.query)
        group, worker = texts_after(request.query, 2)
        page = await self._workers.listed(request.caller, queue_of(request), (group, worker), limit)
        wanted = _quarantined_of(request)
        shown = [one for one in page if wanted is None or is_quarantined(one, request.now) == wanted]
        answer: dict[str, Any] = {"workers": [await self._workers.wire_of(one) for one in shown]}
        if len(page) < limit:
            return answer
        return {**answer, "continuationToken": token(page[-1].worker_group, page[-1].worker_id)}

    async def provisioners(self, request: ApiRequest) -> object:
        queues = await self._workers.queues(request.caller, "queue:list-provisioners")
        names = sorted({queue.partition("/")[0] for queue in queues})
        return {"provisioners": [_provisioner(name, request) for name in names]}

    async def provisioner(self, request: ApiRequest) -> object:
        name = request.params["provisionerId"]
        queues = await self._workers.queues(request.caller, f"queue:get-provisioner:{name}")
        if not any(queue.startswith(f"{name}/") for queue in queues):
            raise NotFoundError(f"provisioner {name} is not known")
        return _provisioner(name, request)

    async def worker_types(self, request: ApiRequest) -> object:
        name = request.params["provisionerId"]
        queues = await self._workers.queues(request.caller, f"queue:list-worker-types:{name}")
        shown = [described_queue(queue, request.now) for queue in queues if queue.startswith(f"{name}/")]
        return {"workerTypes": shown}

    async def worker_type(self, request: ApiRequest) -> object:
        queue = queue_of(request)
        queues = await self._workers.queues(request.caller, f"queue:get-worker-type:{queue}")
        return _known(queue, queues, request)

    async def queues(self, request: ApiRequest) -> object:
        limit = limit_of(request.query)
        [after] = texts_after(request.query, 1)
        queues = await self._workers.queues(request.caller, "queue:list-task-queues")
        page = [queue for queue in queues if queue > after][:limit]
        answer: dict[str, Any] = {"taskQueues": [described_queue(queue, request.now) for queue in page]}
        return {**answer, "continuationToken": token(page[-1])} if len(page) == limit else answer

    async def queue(self, request: ApiRequest) -> object:
        queue = parse_queue_id(request.params["taskQueueId"])
        queues = await self._workers.queues(request.caller, f"queue:get-task-queue:{queue}")
        return _known(queue, queues, request)


def _quarantined_of(request: ApiRequest) -> bool | None:
    text = request.query.get("quarantined")
    if text is None:
        return None
    if text not in ("true", "false"):
        raise RequestArgumentsError(f"quarantined: expected true or false, got {text[:32]!r}")
    return text == "true"


def _provisioner(name: str, request: ApiRequest) -> dict[str, Any]:
    return {
        "provisionerId": name,
        "stability": "stable",
        "description": "",
        "expires": format_instant(request.now),
        "lastDateActive": format_instant(request.now),
        "actions": [],
    }


def _known(queue: str, queues: list[str], request: ApiRequest) -> dict[str, Any]:
    if queue not in queues:
        raise NotFoundError(f"queue {queue} has no waiting tasks and no known workers")
    return described_queue(queue, request.now)


def _route(method: Method, path: str, name: str, handler: Handler, title: str, **more: Any) -> Route:
    return Route(service="queue", method=method, path=path, name=name, handler=handler, title=title, **more)


def routes(workers: Workers) -> list[Route]:
    """Return the queue's routes about workers and queues."""
    found = _Workers(workers)
    worker = f"{_QUEUE}/workers/<workerGroup>/<workerId>"
    name = "<provisionerId>/<workerType>/<workerGroup>/<workerId>"
    return [
        _route("GET", "/provisioners", "listProvisioners", found.provisioners, "List Provisioners", stability="deprecated",
               scopes="queue:list-provisioners", query=QUERY, output="queue/list-provisioners-response"),
        _route("GET", "/provisioners/<provisionerId>", "getProvisioner", found.provisioner, "Get a Provisioner", stability="deprecated",
               scopes="queue:get-provisioner:<provisionerId>", output="queue/provisioner-response"),
        _route("GET", "/provisioners/<provisionerId>/worker-types", "listWorkerTypes", found.worker_types,
               "List Worker Types", stability="deprecated", scopes="queue:list-worker-types:<provisionerId>", query=QUERY, output="queue/list-workertypes-response"),
        _route("GET", _QUEUE, "getWorkerType", found.worker_type, "Get a Worker Type", stability="deprecated",
               scopes="queue:get-worker-type:<provisionerId>/<workerType>", output="queue/taskqueue-response"),
        _route("GET", "/task-queues", "listTaskQueues", found.queues, "List Task Queues",
               scopes="queue:list-task-queues", query=QUERY, output="queue/list-taskqueues-response"),
        _route("GET", "/task-queues/<taskQueueId*>", "getTaskQueue", found.queue, "Get a Task Queue",
               scopes="queue:get-task-queue:<taskQueueId>", output="queue/taskqueue-response"),
        _route("GET", f"{_QUEUE}/workers", "listWorkers", found.listed, "List Workers", stability="deprecated",
               scopes="queue:list-workers:<provisionerId>/<workerType>", query=(*QUERY, "quarantined"), output="queue/list-workers-response"),
        _route("GET", worker, "getWorker", found.get, "Get a Worker", stability="deprecated", scopes=f"queue:get-worker:{name}", output="queue/worker-response"),
        _route("PUT", worker, "quarantineWorker", found.quarantine, "Quarantine a Worker", stability="experimental",
               input="queue/quarantine-worker-request", scopes=f"queue:quarantine-worker:{name}", output="queue/worker-response"),
        _route("PUT", f"{_QUEUE}/<workerGroup>/<workerId>", "declareWorker", found.declare, "Declare a Worker", stability="experimental",
               input="queue/update-worker-request",
               scopes={"for": "property", "in": "properties", "each": f"queue:declare-worker:{name}#<property>"}, output="queue/worker-response"),
    ]  # fmt: skip
