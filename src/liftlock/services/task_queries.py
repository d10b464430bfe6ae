"""What readers ask the queue: tasks, their status, groups, and what waits where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from liftlock.domain.tasks.statuses import status_of
from liftlock.errors import NotFoundError
from liftlock.ports.task_store import QueueEntry, StoredTask, TaskStore
from liftlock.services.authorize import Caller
from liftlock.services.task_lifecycle import group_wire
from liftlock.values.instants import format_ms


class TaskQueries:
    """Answers without changing anything. Every method raises RefusedError before it says what exists."""

    def __init__(self, store: TaskStore) -> None:
        self._store = store

    async def definition(self, caller: Caller, task_id: str) -> msgspec.Raw:
        """Return the definition, defaults filled in, as JSON.

        Raises:
            NotFoundError: no such task.
        """
        caller.require(f"queue:get-task:{task_id}")
        found = await self._store.document(task_id)
        if found is None:
            raise NotFoundError(f"task {task_id} does not exist")
        return found

    async def status(self, caller: Caller, task_id: str) -> dict[str, Any]:
        """Return the status structure.

        Raises:
            NotFoundError: no such task.
        """
        caller.require(f"queue:status:{task_id}")
        task = await self._store.task(task_id)
        if task is None:
            raise NotFoundError(f"task {task_id} does not exist")
        return status_of(task)

    async def definitions(self, caller: Caller, task_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return {taskId, task} of those that exist, in the order asked for."""
        caller.require([f"queue:get-task:{task_id}" for task_id in task_ids])
        return [
            {"taskId": one.task.task_id, "task": one.document} for one in await self._store.stored(task_ids)
        ]

    async def statuses(self, caller: Caller, task_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return {taskId, status} of those that exist, in the order asked for."""
        caller.require([f"queue:status:{task_id}" for task_id in task_ids])
        return [
            {"taskId": one.task.task_id, "status": status_of(one.task)}
            for one in await self._store.stored(task_ids)
        ]

    async def group_members(
        self, caller: Caller, group_id: str, after: int, limit: int
    ) -> tuple[dict[str, Any], list[StoredTask]]:
        """Return the group's information and a page of its tasks.

        Raises:
            NotFoundError: no such group.
        """
        caller.require(f"queue:list-task-group:{group_id}")
        group = await self._store.group(group_id)
        if group is None:
            raise NotFoundError(f"task group {group_id} does not exist")
        return group_wire(group), await self._store.tasks_of_group(group_id, after, limit)

    async def dependents(self, caller: Caller, task_id: str, after: int, limit: int) -> list[StoredTask]:
        """Return a page of the tasks that depend on this one.

        Raises:
            NotFoundError: no such task.
        """
        caller.require(f"queue:list-dependent-tasks:{task_id}")
        if await self._store.task(task_id) is None:
            raise NotFoundError(f"task {task_id} does not exist")
        return await self._store.dependents(task_id, after, limit)

    async def pending(self, caller: Caller, queue_id: str, after: int, limit: int) -> list[QueueEntry]:
        """Return a page of what waits in the queue."""
        caller.require(f"queue:pending-list:{queue_id}")
        return await self._store.pending(queue_id, after, limit)

    async def claimed(self, caller: Caller, queue_id: str, after: int, limit: int) -> list[QueueEntry]:
        """Return a page of what runs from the queue."""
        caller.require(f"queue:claimed-list:{queue_id}")
        return await self._store.claimed(queue_id, after, limit)

    async def pending_count(self, caller: Caller, queue_id: str) -> int:
        """Return how many tasks wait in the queue."""
        caller.require(f"queue:pending-count:{queue_id}")
        return (await self._store.counts(queue_id))[0]

    async def counts(self, caller: Caller, queue_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return for each queue how many tasks are pending and claimed; all or nothing."""
        caller.require(
            [f"queue:{kind}-count:{queue_id}" for queue_id in queue_ids for kind in ("pending", "claimed")]
        )
        answers = []
        for queue_id in queue_ids:
            pending, claimed = await self._store.counts(queue_id)
            answers.append({**queue_wire(queue_id), "pendingTasks": pending, "claimedTasks": claimed})
        return answers


def queue_wire(queue_id: str) -> dict[str, Any]:
    """Return the three names of a queue on the wire."""
    provisioner, worker_type = queue_id.split("/")
    return {"taskQueueId": queue_id, "provisionerId": provisioner, "workerType": worker_type}


def member_wire(member: StoredTask) -> dict[str, Any]:
    """Return {status, task} of one task in a list."""
    return {"status": status_of(member.task), "task": member.document}


def entry_wire(entry: QueueEntry) -> dict[str, Any]:
    """Return one line of a queue's list: the run, the task, and since when; workers if claimed."""
    run = entry.task.progress.runs[-1]
    wire: dict[str, Any] = {
        "taskId": entry.task.task_id,
        "runId": run.run_id,
        "task": entry.document,
        "inserted": format_ms(run.scheduled_ms),
    }
    if run.state == "running":
        wire["claimed"] = format_ms(run.started_ms or run.scheduled_ms)
        wire["workerGroup"], wire["workerId"] = run.worker_group, run.worker_id
    return wire
