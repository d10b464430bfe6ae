"""Create a task: the one way in which tasks come to be, for requests, hooks and pushes alike."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from liftlock.domain.inputs.piping import check_pipes, outputs_of, pipes_of
from liftlock.domain.tasks.definition import Definition, define
from liftlock.domain.tasks.index_routes import entries_of
from liftlock.domain.tasks.requirements import to_create
from liftlock.domain.tasks.statuses import status_of
from liftlock.errors import InputValidationError, RefusedError
from liftlock.ports.task_store import TaskStore
from liftlock.services.authorize import Caller
from liftlock.values.ids import task_id as parse_task_id
from liftlock.values.instants import to_ms
from liftlock.values.json import digest

TaskStatus = dict[str, Any]
"""The status structure of the wire: taskId, state, runs and so on."""


class CreateTask:
    """Creates tasks with the caller's scopes."""

    def __init__(self, store: TaskStore, reserved: Collection[str] = ()) -> None:
        """Make the service; in the queues `reserved` only operations create tasks, whatever scopes a caller has."""
        self._store = store
        self._reserved = frozenset(reserved)

    async def __call__(
        self,
        caller: Caller,
        task_id: str,
        definition: Mapping[str, Any],
        now: datetime,
        *,
        records: Sequence[Any] = (),
        stage_two: bool = False,
    ) -> TaskStatus:
        """Return the status of the task, created now or, with an equal definition, before.

        Args:
            definition: The body of createTask, decoded; everything in it is checked here.
            records: Committed in the same transaction, also when the task existed.
            stage_two: The task is stage 2 of an operation, created by the service of operations.
        Raises:
            InputValidationError, InputInvalidError: the definition; a dependency that does not exist; an input that
                names an output which no dependency declares.
            RefusedError: the caller lacks a scope that the task has or that creating it needs.
            ConflictError: another task has this id; the group is sealed or has another schedulerId.
        """
        parsed = define(parse_task_id(task_id), definition, now)
        caller.require(to_create(parsed))
        if parsed.task_queue_id in self._reserved and not stage_two:
            raise RefusedError(
                f"{parsed.task_queue_id} is the privileged workers' queue: only an operation creates tasks there."
                " Ask for one with `liftlock operation request`",
                rule="privileged-queue",
            )
        await self._check_pipes(parsed)
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

    async def _check_pipes(self, parsed: Definition) -> None:
        """Compare piped inputs with what the dependencies declare; a dependency that is missing is the store's to say."""
        pipes = pipes_of(parsed.document["payload"])
        if not pipes:
            return
        found = await self._store.stored(parsed.dependencies)
        if len(found) == len(parsed.dependencies):
            problems = check_pipes(pipes, [outputs_of(one.document) for one in found])
            if problems:
                raise InputValidationError("; ".join(problems))
