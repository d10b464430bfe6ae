"""A task: how it stands, what it is, what it needs and what needs it, its artifacts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote

from liftlock.domain.tasks.artifacts import Artifact
from liftlock.domain.tasks.lifecycle import Run
from liftlock.errors import NotFoundError, RefusedError
from liftlock.ports.push_store import PushStore
from liftlock.ports.task_store import StoredTask, TaskStore
from liftlock.services.artifact_reads import ArtifactReads
from liftlock.services.live_changes import LiveChanges
from liftlock.services.task_queries import TaskQueries
from liftlock.values.ids import is_task_id
from liftlock.values.instants import to_ms
from liftlock.web.downloads import stored_bytes
from liftlock.web.pages.groups import push_seen
from liftlock.web.pages.live import live_path
from liftlock.web.pages.markdown import rendered
from liftlock.web.pages.page import Answer, Page, PageRequest, Raw, Shown, number
from liftlock.web.pages.rendering import pretty

MOST_RELATED: Final = 200
MOST_ARTIFACTS: Final = 500
LIVE_LOG: Final = "public/logs/live.log"


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run, with how long it waited and ran."""

    run: Run
    waited: timedelta | None
    lasted: timedelta | None


class Tasks:
    """Answers for single tasks."""

    def __init__(
        self,
        store: TaskStore,
        queries: TaskQueries,
        reads: ArtifactReads,
        pushes: PushStore,
        changes: LiveChanges,
    ) -> None:
        self._store = store
        self._queries = queries
        self._reads = reads
        self._pushes = pushes
        self._changes = changes

    def routes(self) -> list[Page]:
        """Return the pages."""
        return [
            Page("GET", "/tasks/{task}", self.show),
            Page("GET", "/tasks/{task}/definition", self.definition),
            Page("GET", "/tasks/{task}/runs/{run}/artifacts/{name:path}", self.artifact),
        ]

    async def show(self, request: PageRequest) -> Answer:
        after = await self._changes.last()
        found = await task_seen(self._store, self._queries, request)
        task, document = found.task, found.document
        runs = [_run_row(run, to_ms(request.now)) for run in reversed(task.progress.runs)]
        allowed_list = request.caller.satisfies(f"queue:list-task-group:{task.task_group_id}")
        needs = await self._store.stored(list(document.get("dependencies") or ())[:MOST_RELATED])
        needed_by = await self._store.dependents(task.task_id, 0, MOST_RELATED) if allowed_list else []
        return Shown(
            "task.html",
            {
                **heading(found),
                "runs": runs,
                "description": rendered(str(document["metadata"]["description"])),
                "needs": [one for one in needs if _may_see(request, one)],
                "needed_by": [one for one in needed_by if _may_see(request, one)],
                "artifacts": await self._artifacts(request, found),
                "push": await push_seen(self._pushes, request.caller, task.task_group_id),
                "live": live_path(after, groups=[task.task_group_id]) if allowed_list else None,
            },
        )

    async def definition(self, request: PageRequest) -> Answer:
        found = await task_seen(self._store, self._queries, request)
        return Shown("task_definition.html", {**heading(found), "text": pretty(found.document)})

    async def artifact(self, request: PageRequest) -> Answer:
        """Give the bytes as an attachment, never as something that this site's origin would show or run."""
        task_id, run_id = request.params["task"], number(request.params["run"], 0, 10**6, "run")
        run, found = await self._reads.find(
            request.caller, task_id, run_id, request.params["name"], request.now
        )
        if found.content is None:
            if found.declared.storage == "error":
                raise NotFoundError(
                    f"the worker could not make it: {found.declared.reason}: {found.declared.message}"
                )
            if found.declared.storage == "reference" and found.declared.target:
                return Shown("elsewhere.html", {"name": found.name, "target": found.declared.target})
            raise NotFoundError(f"run {run} of task {task_id} has no stored artifact {found.name!r}")
        reply = stored_bytes(
            found.content, found.declared.content_type, found.name, request.headers, self._reads.read
        )
        last = found.name.rsplit("/", 1)[-1] or "artifact"
        headers = {
            **reply.headers,
            "content-disposition": f"attachment; filename*=UTF-8''{quote(last, safe='')}",
            "content-security-policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
            "cross-origin-resource-policy": "same-origin",
        }
        kind = headers.pop("content-type", "application/octet-stream")
        body: Any = reply.body if reply.body is not None else b""
        return Raw(body, kind, reply.status, headers)

    async def _artifacts(self, request: PageRequest, found: StoredTask) -> list[Artifact] | None:
        """Return the artifacts of the last run; None if the caller may not list them."""
        runs = found.task.progress.runs
        if not runs:
            return []
        try:
            return await self._reads.listed(
                request.caller, found.task.task_id, len(runs) - 1, "", MOST_ARTIFACTS
            )
        except RefusedError:
            if not request.caller.satisfies(f"queue:list-artifacts:{found.task.task_id}"):
                return None
            return await self._reads.listed(request.caller, found.task.task_id, None, "", MOST_ARTIFACTS)


async def task_seen(store: TaskStore, queries: TaskQueries, request: PageRequest) -> StoredTask:
    """Return the task that the path names.

    Raises:
        RefusedError, NotFoundError: the caller may not see it, or there is none.
    """
    task_id = request.params["task"]
    if not is_task_id(task_id):
        raise NotFoundError(f"{task_id[:64]!r} is no task's id")
    request.caller.require([f"queue:get-task:{task_id}", f"queue:status:{task_id}"])
    found = await store.stored([task_id])
    if not found:
        raise NotFoundError(f"task {task_id} does not exist")
    return found[0]


def heading(found: StoredTask) -> dict[str, Any]:
    """Return what the head of every page of the task needs."""
    return {
        "task": found.task,
        "document": found.document,
        "name": str(found.document["metadata"]["name"]),
        "state": found.task.progress.state,
        "last_run": len(found.task.progress.runs) - 1,
    }


def _may_see(request: PageRequest, one: StoredTask) -> bool:
    return request.caller.satisfies(f"queue:get-task:{one.task.task_id}")


def _run_row(run: Run, now_ms: int) -> RunRow:
    if run.started_ms is None:
        return RunRow(run, timedelta(milliseconds=(run.resolved_ms or now_ms) - run.scheduled_ms), None)
    ended = run.resolved_ms if run.resolved_ms is not None else now_ms
    return RunRow(
        run,
        timedelta(milliseconds=run.started_ms - run.scheduled_ms),
        timedelta(milliseconds=ended - run.started_ms),
    )
