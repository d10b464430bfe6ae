"""Create a task: the one way in which tasks come to be, for requests, hooks and pushes alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from liftlock.domain.tasks.definition import define
from liftlock.domain.tasks.index_routes import entries_of
from liftlock.domain.tasks.requirements import to_create
from liftlock.domain.tasks.statuses import status_of
from liftlock.ports.task_store import TaskStore
from liftlock.services.authorize import Caller
from liftlock.values.ids import task_id as parse_task_id
from liftlock.values.instants import to_ms
from liftlock.values.json import digest

TaskStatus = dict[str, Any]
"""The status structure of the wire: taskId, state, runs and so on."""


class CreateTask:
    """Creates tasks with the caller's scopes."""

    def __init__(self, store: TaskStore) -> None:
        self._store = store

    async def __call__(
        self,
        caller: Caller,
        task_id: str,
        definition: Mapping[str, Any],
        now: datetime,
        *,
        records: Sequence[Any] = (),
    ) -> TaskStatus:
        """Return the status of the task, created now or, with an equal definition, before.

        Args:
            definition: The body of createTask, decoded; everything in it is checked here.
            records: Committed in the same transaction, also when the task existed.
        Raises:
            InputValidationError, InputInvalidError: the definition; a dependency that does not exist.
            RefusedError: the caller lacks a scope that the task has or that creating it needs.
            ConflictError: another task has this id; the group is sealed or has another schedulerId.
        """
        parsed = define(parse_task_id(task_id), definition, now)
        caller.require(to_create(parsed))
        entries = entries_of(parsed.routes, parsed.document["extra"], to_ms(parsed.expires))
        audit = caller.record(
            "queue.createTask",
            f"task/{task_id}",
            taskGroupId=parsed.task_group_id,
            taskQueueId=parsed.task_queue_id,
            schedulerId=parsed.scheduler_id,
            definition=digest(parsed.document),
        )
        task, _created = await self._store.create(
            parsed, entries, caller.envelope(now, audit, records=records)
        )
        return status_of(task)
