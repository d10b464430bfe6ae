"""What people and workers do to tasks that exist: schedule, rerun, cancel, report, change the priority; groups."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from datetime import datetime
from typing import Any, Literal

from liftlock.domain.scopes.satisfaction import AnyOf
from liftlock.domain.tasks.definition import PRIORITIES, rank_of
from liftlock.domain.tasks.lifecycle import RESOLVED, Cancel, Report, Rerun, Schedule
from liftlock.domain.tasks.requirements import (
    at_priority,
    to_act,
    to_change_group_priority,
    to_change_priority,
)
from liftlock.domain.tasks.statuses import Task, status_of
from liftlock.errors import ConflictError, NotFoundError, RefusedError
from liftlock.ports.task_store import GroupInfo, TaskStore
from liftlock.services.authorize import Caller
from liftlock.values.instants import format_ms

Verb = Literal["schedule", "rerun", "cancel"]
_EVENTS: dict[Verb, Schedule | Rerun | Cancel] = {
    "schedule": Schedule(),
    "rerun": Rerun(),
    "cancel": Cancel(),
}
_PAGE = 200


class TaskLifecycle:
    """Changes tasks and groups that exist."""

    def __init__(self, store: TaskStore, reserved: Collection[str] = ()) -> None:
        """Make the service; nobody schedules or reruns tasks of the queues `reserved`: operations do."""
        self._store = store
        self._reserved = frozenset(reserved)

    async def act(self, caller: Caller, verb: Verb, task_id: str, now: datetime) -> dict[str, Any]:
        """Return the task's status after `verb`; repeating it changes nothing.

        Raises:
            RefusedError, NotFoundError: may not; no such task (said only to who may see tasks).
            ConflictError: its deadline has passed, or it has had all its runs.
        """
        task = await self._visible(caller, f"queue:{verb}-task", task_id)
        caller.require(_need(verb, task))
        if task.task_queue_id in self._reserved and verb != "cancel":
            raise RefusedError(
                f"task {task_id} is stage 2 of an operation: it runs once its request is approved, and nobody"
                f" can {verb} it. See `liftlock operation ls`",
                rule="privileged-queue",
            )
        audit = caller.record(f"queue.{verb}Task", f"task/{task_id}", taskGroupId=task.task_group_id)
        after = await self._store.transition(task_id, _EVENTS[verb], caller.envelope(now, audit))
        return status_of(after)

    async def report(
        self,
        caller: Caller,
        task_id: str,
        run_id: int,
        state: Literal["completed", "failed", "exception"],
        reason: str,
        now: datetime,
    ) -> dict[str, Any]:
        """Return the task's status after its worker said how the run ended; the same report again is fine.

        Raises:
            RefusedError: these are not the credentials of that run.
            ConflictError: the run was resolved otherwise, or its claim has lapsed.
        """
        caller.require(f"queue:resolve-task:{task_id}/{run_id}")
        event = Report(run_id, state, reason)
        return status_of(await self._store.transition(task_id, event, caller.envelope(now)))

    async def change_priority(
        self, caller: Caller, task_id: str, priority: str, now: datetime
    ) -> dict[str, Any]:
        """Return the status of the unresolved task with its new priority; the definition stays as it was.

        Raises:
            RefusedError, NotFoundError: may not; no such task.
            ConflictError: it is resolved.
        """
        task = await self._visible(caller, "queue:change-task-priority", task_id)
        old = PRIORITIES[task.rank]
        caller.require(to_change_priority(task_id, task.task_queue_id, old, priority))
        audit = caller.record("queue.changeTaskPriority", f"task/{task_id}", old=old, new=priority)
        after = await self._store.change_rank(task_id, rank_of(priority), caller.envelope(now, audit))
        return status_of(after)

    async def group(self, caller: Caller, group_id: str) -> dict[str, Any]:
        """Return the group's information.

        Raises:
            RefusedError, NotFoundError: may not; no such group.
        """
        caller.require(f"queue:list-task-group:{group_id}")
        found = await self._store.group(group_id)
        if found is None:
            raise NotFoundError(f"task group {group_id} does not exist")
        return group_wire(found)

    async def seal(self, caller: Caller, group_id: str, now: datetime) -> dict[str, Any]:
        """Return the group, sealed for good: no task can be created in it any more.

        Raises:
            RefusedError, NotFoundError: may not; no such group.
        """
        found = await self._visible_group(caller, "queue:seal-task-group", group_id)
        caller.require(f"queue:seal-task-group:{found.scheduler_id}/{group_id}")
        audit = caller.record("queue.sealTaskGroup", f"task-group/{group_id}")
        return group_wire(await self._store.seal(group_id, caller.envelope(now, audit)))

    async def cancel_group(self, caller: Caller, group_id: str, now: datetime) -> dict[str, Any]:
        """Return which tasks were unresolved and are now canceled, and how many the group has.

        Raises:
            RefusedError, NotFoundError: may not; no such group.
            ConflictError: the group is not sealed.
        """
        found = await self._visible_group(caller, "queue:cancel-task-group", group_id)
        caller.require(f"queue:cancel-task-group:{found.scheduler_id}/{group_id}")
        if found.sealed_ms is None:
            raise ConflictError(
                f"task group {group_id} is not sealed; seal it first, so that it can not grow"
            )
        audit = caller.record("queue.cancelTaskGroup", f"task-group/{group_id}")
        envelope = caller.envelope(now, audit)
        await self._store.seal(group_id, envelope)
        canceled = [
            task_id
            async for task_id in self._unresolved(group_id)
            if await self._cancel_quietly(caller.follow_up(), task_id, now)
        ]
        size = await self._size(group_id)
        return {
            "taskGroupId": group_id,
            "taskGroupSize": size,
            "cancelledCount": len(canceled),
            "taskIds": canceled,
        }

    async def change_group_priority(
        self, caller: Caller, group_id: str, priority: str, now: datetime
    ) -> dict[str, Any]:
        """Return how many unresolved tasks of the group got the priority.

        Raises:
            RefusedError, NotFoundError: may not; no such group; no right to create at a raised priority.
        """
        found = await self._visible_group(caller, "queue:change-task-group-priority", group_id)
        caller.require(to_change_group_priority(found.scheduler_id, group_id, priority))
        affected: list[str] = []
        who = caller
        async for task_id in self._unresolved(group_id):
            task = await self._store.task(task_id)
            if task is None or task.progress.state in RESOLVED:
                continue
            if rank_of(priority) < task.rank:
                caller.require(at_priority(priority, task.task_queue_id))
            audit = caller.record(
                "queue.changeTaskGroupPriority", f"task/{task_id}", taskGroupId=group_id, new=priority
            )
            await self._store.change_rank(task_id, rank_of(priority), who.envelope(now, audit))
            who = caller.follow_up()
            affected.append(task_id)
        return {
            "taskGroupId": group_id,
            "newPriority": priority,
            "tasksAffected": len(affected),
            "taskIds": affected,
        }

    async def _unresolved(self, group_id: str) -> AsyncIterator[str]:
        after = 0
        while page := await self._store.unresolved_of(group_id, after, _PAGE):
            for _number, task_id in page:
                yield task_id
            after = page[-1][0]

    async def _cancel_quietly(self, caller: Caller, task_id: str, now: datetime) -> bool:
        """Cancel the task; False if its deadline or its end came first."""
        try:
            await self._store.transition(task_id, Cancel(), caller.envelope(now))
        except (ConflictError, NotFoundError):
            return False
        return True

    async def _size(self, group_id: str) -> int:
        size, after = 0, 0
        while page := await self._store.tasks_of_group(group_id, after, 1000):
            size, after = size + len(page), page[-1].number
        return size

    async def _visible(self, caller: Caller, scope: str, task_id: str) -> Task:
        """Return the task; that there is none is said only to who may see tasks or do this to any."""
        task = await self._store.task(task_id)
        if task is None:
            caller.require(AnyOf(f"{scope}:*", f"queue:status:{task_id}", f"queue:get-task:{task_id}"))
            raise NotFoundError(f"task {task_id} does not exist")
        return task

    async def _visible_group(self, caller: Caller, scope: str, group_id: str) -> GroupInfo:
        found = await self._store.group(group_id)
        if found is None:
            caller.require(AnyOf(f"{scope}:*", f"queue:list-task-group:{group_id}"))
            raise NotFoundError(f"task group {group_id} does not exist")
        return found


def _need(verb: Verb, task: Task) -> AnyOf:
    return to_act(
        verb,
        scheduler_id=task.scheduler_id,
        task_group_id=task.task_group_id,
        task_id=task.task_id,
        project_id=task.project_id,
    )


def group_wire(group: GroupInfo) -> dict[str, Any]:
    """Return the group's structure on the wire."""
    wire: dict[str, Any] = {
        "taskGroupId": group.group_id,
        "schedulerId": group.scheduler_id,
        "expires": format_ms(group.expires_ms),
    }
    if group.sealed_ms is not None:
        wire["sealed"] = format_ms(group.sealed_ms)
    return wire
