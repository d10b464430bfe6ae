"""The index over HTTP.

Source: docs/reference/index.md
"""

from __future__ import annotations

from typing import Any

from liftlock.domain.tasks.artifacts import artifact_name
from liftlock.services.artifact_reads import ArtifactReads
from liftlock.services.task_index import TaskIndex, task_wire
from liftlock.values.instants import format_ms
from liftlock.web.paging import QUERY, limit_of, number_after, texts_after, token
from liftlock.web.routing import ApiRequest, Handler, Method, Reply, Route


class _Index:
    def __init__(self, index: TaskIndex, reads: ArtifactReads) -> None:
        self._index = index
        self._reads = reads

    async def insert(self, request: ApiRequest) -> object:
        return await self._index.insert(
            request.caller, request.params["namespace"], request.payload, request.now
        )

    async def find(self, request: ApiRequest) -> object:
        return await self._index.find(request.caller, request.params["indexPath"], request.now)

    async def find_many(self, request: ApiRequest) -> object:
        paths, start, limit = request.payload["indexes"], number_after(request.query), limit_of(request.query)
        found = await self._index.find_many(request.caller, paths[start : start + limit], request.now)
        more = {"continuationToken": token(start + limit)} if start + limit < len(paths) else {}
        return {"tasks": found, **more}

    async def artifact(self, request: ApiRequest) -> object:
        name = artifact_name(request.params["name"])
        task_id = await self._index.task_of(request.caller, request.params["indexPath"], name, request.now)
        _storage, url = await self._reads.address(
            request.caller, task_id, None, name, request.now, root_url=request.root_url
        )
        return Reply(status=303, body={"url": url}, headers={"location": url})

    async def namespaces(self, request: ApiRequest) -> object:
        limit = limit_of(request.query)
        [after] = texts_after(request.query, 1)
        parent = request.params.get("namespace", "")
        page = await self._index.namespaces(request.caller, parent, after, limit, request.now)
        answer: dict[str, Any] = {
            "namespaces": [
                {"namespace": one.namespace, "name": one.name, "expires": format_ms(one.expires_ms)}
                for one in page
            ]
        }
        return {**answer, "continuationToken": token(page[-1].name)} if len(page) == limit else answer

    async def tasks(self, request: ApiRequest) -> object:
        limit = limit_of(request.query)
        [after] = texts_after(request.query, 1)
        parent = request.params.get("namespace", "")
        page = await self._index.tasks(request.caller, parent, after, limit, request.now)
        answer: dict[str, Any] = {"tasks": [task_wire(one) for one in page]}
        if len(page) < limit:
            return answer
        return {**answer, "continuationToken": token(page[-1].namespace.rpartition(".")[2])}

    async def delete(self, request: ApiRequest) -> object:
        await self._index.delete(request.caller, request.params["namespace"], request.now)
        return {}


def _route(method: Method, path: str, name: str, handler: Handler, title: str, **more: Any) -> Route:
    return Route(service="index", method=method, path=path, name=name, handler=handler, title=title, **more)


def routes(index: TaskIndex, reads: ArtifactReads) -> list[Route]:
    """Return the routes of the index."""
    found = _Index(index, reads)
    spaces = {"scopes": "index:list-namespaces:<namespace>", "query": QUERY}
    tasks = {"scopes": "index:list-tasks:<namespace>", "query": QUERY}
    return [
        _route("GET", "/task/<indexPath>", "findTask", found.find, "Find Indexed Task",
               scopes="index:find-task:<indexPath>", output="index/indexed-task-response"),
        _route("POST", "/tasks/indexes", "findTasksAtIndex", found.find_many, "Find tasks at indexes", stability="experimental",
               input="index/list-tasks-at-index", query=QUERY,
               scopes={"for": "indexPath", "in": "indexes", "each": "index:find-task:<indexPath>"}, output="index/list-tasks-response"),
        _route("GET", "/namespaces/<namespace>", "listNamespaces", found.namespaces, "List Namespaces", **spaces, output="index/list-namespaces-response"),
        _route("GET", "/namespaces", "listTopNamespaces", found.namespaces, "List Namespaces at the top", **spaces, output="index/list-namespaces-response"),
        _route("GET", "/tasks/<namespace>", "listTasks", found.tasks, "List Tasks", **tasks, output="index/list-tasks-response"),
        _route("GET", "/tasks", "listTopTasks", found.tasks, "List Tasks at the top", **tasks, output="index/list-tasks-response"),
        _route("PUT", "/task/<namespace>", "insertTask", found.insert, "Insert Task into Index",
               input="index/insert-task-request", scopes="index:insert-task:<namespace>", output="index/indexed-task-response"),
        _route("DELETE", "/task/<namespace>", "deleteTask", found.delete, "Remove Task from Index",
               scopes="index:delete-task:<namespace>"),
        _route("GET", "/task/<indexPath>/artifacts/<name*>", "findArtifactFromTask", found.artifact,
               "Get Artifact From Indexed Task", scopes="queue:get-artifact:<name>"),
    ]  # fmt: skip
