"""The queue over HTTP: tasks and groups.

Source: docs/reference/queue.md
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from liftlock.errors import RequestArgumentsError
from liftlock.services.check_task_graph import CheckTaskGraph
from liftlock.services.create_task import CreateTask
from liftlock.services.task_lifecycle import TaskLifecycle, Verb
from liftlock.services.task_queries import TaskQueries, entry_wire, member_wire, queue_wire
from liftlock.values.ids import task_id as parse_task_id
from liftlock.values.ids import task_queue_id as parse_queue_id
from liftlock.web.paging import QUERY, limit_of, number_after, token
from liftlock.web.routing import ApiRequest, Handler, Method, Route

_MAX_RUN_DIGITS = 4


def task_id_of(request: ApiRequest) -> str:
    """Return the path's task id, checked."""
    return parse_task_id(request.params["taskId"])


def run_id_of(request: ApiRequest) -> int:
    """Return the path's run id, checked."""
    text = request.params["runId"]
    if not text.isascii() or not text.isdigit() or len(text) > _MAX_RUN_DIGITS:
        raise RequestArgumentsError(f"runId: expected a number from 0, got {text[:32]!r}")
    return int(text)


def _group_id_of(request: ApiRequest) -> str:
    return parse_task_id(request.params["taskGroupId"], "taskGroupId")


def _paged(answer: dict[str, Any], page: Sequence[Any], limit: int) -> dict[str, Any]:
    return {**answer, "continuationToken": token(page[-1].number)} if len(page) == limit else answer


class _Tasks:
    def __init__(
        self, create: CreateTask, check: CheckTaskGraph, lifecycle: TaskLifecycle, queries: TaskQueries
    ) -> None:
        self._create = create
        self._check = check
        self._lifecycle = lifecycle
        self._queries = queries

    async def create_task(self, request: ApiRequest) -> object:
        status = await self._create(request.caller, task_id_of(request), request.payload, request.now)
        return {"status": status}

    async def check_graph(self, request: ApiRequest) -> object:
        return {"tasks": await self._check(request.caller, request.payload["tasks"])}

    async def task(self, request: ApiRequest) -> object:
        return await self._queries.definition(request.caller, task_id_of(request))

    async def status(self, request: ApiRequest) -> object:
        return {"status": await self._queries.status(request.caller, task_id_of(request))}

    async def tasks(self, request: ApiRequest) -> object:
        ids, more = _asked_for(request.payload, request.query)
        return {"tasks": await self._queries.definitions(request.caller, ids), **more}

    async def statuses(self, request: ApiRequest) -> object:
        ids, more = _asked_for(request.payload, request.query)
        return {"statuses": await self._queries.statuses(request.caller, ids), **more}

    async def list_group(self, request: ApiRequest) -> object:
        limit = limit_of(request.query)
        group, page = await self._queries.group_members(
            request.caller, _group_id_of(request), number_after(request.query), limit
        )
        return _paged({**group, "tasks": [member_wire(one) for one in page]}, page, limit)

    async def get_group(self, request: ApiRequest) -> object:
        return await self._lifecycle.group(request.caller, _group_id_of(request))

    async def seal_group(self, request: ApiRequest) -> object:
        return await self._lifecycle.seal(request.caller, _group_id_of(request), request.now)

    async def cancel_group(self, request: ApiRequest) -> object:
        return await self._lifecycle.cancel_group(request.caller, _group_id_of(request), request.now)

    async def group_priority(self, request: ApiRequest) -> object:
        return await self._lifecycle.change_group_priority(
            request.caller, _group_id_of(request), request.payload["newPriority"], request.now
        )

    async def dependents(self, request: ApiRequest) -> object:
        limit, task_id = limit_of(request.query), task_id_of(request)
        page = await self._queries.dependents(request.caller, task_id, number_after(request.query), limit)
        return _paged({"taskId": task_id, "tasks": [member_wire(one) for one in page]}, page, limit)

    async def priority(self, request: ApiRequest) -> object:
        status = await self._lifecycle.change_priority(
            request.caller, task_id_of(request), request.payload["newPriority"], request.now
        )
        return {"status": status}

    def act(self, verb: Verb) -> Handler:
        async def handler(request: ApiRequest) -> object:
            return {
                "status": await self._lifecycle.act(request.caller, verb, task_id_of(request), request.now)
            }

        return handler

    def report(self, state: Literal["completed", "failed", "exception"]) -> Handler:
        async def handler(request: ApiRequest) -> object:
            reason = request.payload["reason"] if state == "exception" else state
            status = await self._lifecycle.report(
                request.caller, task_id_of(request), run_id_of(request), state, reason, request.now
            )
            return {"status": status}

        return handler

    async def pending(self, request: ApiRequest) -> object:
        limit, queue = limit_of(request.query), parse_queue_id(request.params["taskQueueId"])
        page = await self._queries.pending(request.caller, queue, number_after(request.query), limit)
        return _paged({"tasks": [entry_wire(one) for one in page]}, page, limit)

    async def claimed(self, request: ApiRequest) -> object:
        limit, queue = limit_of(request.query), parse_queue_id(request.params["taskQueueId"])
        page = await self._queries.claimed(request.caller, queue, number_after(request.query), limit)
        return _paged({"tasks": [entry_wire(one) for one in page]}, page, limit)

    async def pending_count(self, request: ApiRequest) -> object:
        queue = parse_queue_id(request.params["taskQueueId"])
        return {**queue_wire(queue), "pendingTasks": await self._queries.pending_count(request.caller, queue)}

    async def counts(self, request: ApiRequest) -> object:
        [answer] = await self._queries.counts(request.caller, [parse_queue_id(request.params["taskQueueId"])])
        return answer

    async def counts_batch(self, request: ApiRequest) -> object:
        queues = [parse_queue_id(queue) for queue in request.payload["taskQueueIds"]]
        return {"taskQueues": await self._queries.counts(request.caller, queues)}


def _asked_for(payload: Mapping[str, Any], query: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Return this page of the ids in the body, and the token of the next one if there is one."""
    ids: list[str] = [parse_task_id(task_id) for task_id in payload["taskIds"]]
    start, limit = number_after(query), limit_of(query)
    end = start + limit
    return ids[start:end], {"continuationToken": token(end)} if end < len(ids) else {}


def _route(method: Method, path: str, name: str, handler: Handler, title: str, **more: Any) -> Route:
    return Route(service="queue", method=method, path=path, name=name, handler=handler, title=title, **more)


def routes(
    create: CreateTask, check: CheckTaskGraph, lifecycle: TaskLifecycle, queries: TaskQueries
) -> list[Route]:
    """Return the queue's routes about tasks, groups and what waits."""
    tasks = _Tasks(create, check, lifecycle, queries)
    return [*_task_routes(tasks), *_group_routes(tasks), *_queue_routes(tasks)]


def _task_routes(tasks: _Tasks) -> list[Route]:
    status = {"output": "queue/task-status-response"}
    run = "/task/<taskId>/runs/<runId>"
    resolve = {"scopes": "queue:resolve-task:<taskId>/<runId>", **status}
    priority = {"input": "queue/change-task-priority-request", **status}
    return [
        _route("PUT", "/task/<taskId>", "createTask", tasks.create_task, "Create New Task",
               input="queue/create-task-request", scopes=_CREATE, **status),
        _route("POST", "/check-task-graph", "checkTaskGraph", tasks.check_graph, "Check a graph before it is created",
               stability="experimental", scopes={"for": "taskId", "in": "taskIds", "each": "queue:get-task:<taskId>"},
               input="queue/check-task-graph-request", output="queue/check-task-graph-response"),
        _route("GET", "/task/<taskId>", "task", tasks.task, "Get Task Definition",
               scopes="queue:get-task:<taskId>", output="queue/task"),
        _route("GET", "/task/<taskId>/status", "status", tasks.status, "Get task status",
               scopes="queue:status:<taskId>", **status),
        _route("POST", "/tasks", "tasks", tasks.tasks, "Get multiple task definitions", stability="experimental",
               scopes={"for": "taskId", "in": "taskIds", "each": "queue:get-task:<taskId>"},
               input="queue/tasks-request", query=QUERY, output="queue/tasks-response"),
        _route("POST", "/tasks/status", "statuses", tasks.statuses, "Get multiple task statuses", stability="experimental",
               scopes={"for": "taskId", "in": "taskIds", "each": "queue:status:<taskId>"},
               input="queue/tasks-request", query=QUERY, output="queue/tasks-statuses-response"),
        _route("GET", "/task/<taskId>/dependents", "listDependentTasks", tasks.dependents, "List Dependent Tasks",
               scopes="queue:list-dependent-tasks:<taskId>", query=QUERY, output="queue/list-dependent-tasks-response"),
        _route("POST", "/task/<taskId>/schedule", "scheduleTask", tasks.act("schedule"), "Schedule Defined Task",
               scopes=_acting("schedule"), **status),
        _route("POST", "/task/<taskId>/rerun", "rerunTask", tasks.act("rerun"), "Rerun a Resolved Task",
               scopes=_acting("rerun"), **status),
        _route("POST", "/task/<taskId>/cancel", "cancelTask", tasks.act("cancel"), "Cancel Task",
               scopes=_acting("cancel"), **status),
        _route("POST", "/task/<taskId>/priority", "changeTaskPriority", tasks.priority, "Change Task Priority", stability="experimental",
               scopes=_PRIORITY, **priority),
        _route("POST", f"{run}/completed", "reportCompleted", tasks.report("completed"), "Report Run Completed",
               **resolve),
        _route("POST", f"{run}/failed", "reportFailed", tasks.report("failed"), "Report Run Failed", **resolve),
        _route("POST", f"{run}/exception", "reportException", tasks.report("exception"), "Report Task Exception",
               input="queue/task-exception-request", **resolve),
    ]  # fmt: skip


def _group_routes(tasks: _Tasks) -> list[Route]:
    group = "/task-group/<taskGroupId>"
    return [
        _route("GET", f"{group}/list", "listTaskGroup", tasks.list_group, "List Task Group",
               scopes="queue:list-task-group:<taskGroupId>", query=QUERY, output="queue/list-task-group-response"),
        _route("GET", group, "getTaskGroup", tasks.get_group, "Get Task Group",
               scopes="queue:list-task-group:<taskGroupId>", output="queue/task-group-response"),
        _route("POST", f"{group}/seal", "sealTaskGroup", tasks.seal_group, "Seal Task Group", stability="experimental",
               scopes="queue:seal-task-group:<schedulerId>/<taskGroupId>", output="queue/task-group-response"),
        _route("POST", f"{group}/cancel", "cancelTaskGroup", tasks.cancel_group, "Cancel Task Group", stability="experimental",
               scopes="queue:cancel-task-group:<schedulerId>/<taskGroupId>", output="queue/cancel-task-group-response"),
        _route("POST", f"{group}/priority", "changeTaskGroupPriority", tasks.group_priority,
               "Change Task Group Priority", stability="experimental", input="queue/change-task-priority-request",
               scopes=_GROUP_PRIORITY, output="queue/task-group-priority-change-response"),
    ]  # fmt: skip


def _queue_routes(tasks: _Tasks) -> list[Route]:
    queue = "/task-queues/<taskQueueId*>"
    both = {"AllOf": ["queue:pending-count:<taskQueueId>", "queue:claimed-count:<taskQueueId>"]}
    return [
        _route("GET", f"{queue}/pending", "listPendingTasks", tasks.pending, "List Pending Tasks", stability="experimental",
               scopes="queue:pending-list:<taskQueueId>", query=QUERY, output="queue/list-pending-tasks-response"),
        _route("GET", f"{queue}/claimed", "listClaimedTasks", tasks.claimed, "List Claimed Tasks", stability="experimental",
               scopes="queue:claimed-list:<taskQueueId>", query=QUERY, output="queue/list-claimed-tasks-response"),
        _route("GET", f"{queue}/counts", "taskQueueCounts", tasks.counts, "Count Pending and Claimed Tasks",
               scopes=both, output="queue/task-queue-counts-response"),
        _route("POST", "/task-queues/counts", "taskQueueCountsBatch", tasks.counts_batch, "Count for Many Queues", stability="experimental",
               input="queue/task-queue-counts-request", scopes={"for": "taskQueueId", "in": "taskQueueIds", "each": both}, output="queue/task-queue-counts-list-response"),
        _route("GET", "/pending/<taskQueueId*>", "pendingTasks", tasks.pending_count, "Count Pending Tasks", stability="deprecated",
               scopes="queue:pending-count:<taskQueueId>", output="queue/pending-tasks-response"),
    ]  # fmt: skip


_AT_PRIORITY = {
    "AnyOf": [{"for": "priority", "in": "priorities", "each": "queue:create-task:<priority>:<taskQueueId>"}]
}
_CREATE = {
    "AllOf": [
        {"for": "scope", "in": "scopes", "each": "<scope>"},
        {"for": "route", "in": "routes", "each": "queue:route:<route>"},
        "queue:create-task:project:<projectId>",
        "queue:scheduler-id:<schedulerId>",
        _AT_PRIORITY,
    ]
}
_PRIORITY = {
    "AllOf": [
        {
            "AnyOf": [
                "queue:change-task-priority-in-queue:<taskQueueId>",
                "queue:change-task-priority:<taskId>",
                {
                    "if": "raises",
                    "then": "queue:raise-task-priority:<taskId>",
                    "else": "queue:lower-task-priority:<taskId>",
                },
            ]
        },
        {"if": "raises", "then": _AT_PRIORITY},
    ]
}
_GROUP_PRIORITY = {
    "AnyOf": [
        "queue:change-task-group-priority:<schedulerId>/<taskGroupId>",
        {
            "AllOf": [
                {"if": "mayRaise", "then": "queue:raise-task-group-priority:<taskGroupId>"},
                {"if": "mayLower", "then": "queue:lower-task-group-priority:<taskGroupId>"},
            ]
        },
    ]
}


def _acting(verb: str) -> object:
    return {
        "AnyOf": [
            f"queue:{verb}-task:<schedulerId>/<taskGroupId>/<taskId>",
            f"queue:{verb}-task-in-project:<projectId>",
            {"AllOf": [f"queue:{verb}-task", "assume:scheduler-id:<schedulerId>/<taskGroupId>"]},
        ]
    }
