"""Stage 2 as a task: created unscheduled with the request, scheduled by the service of operations alone.

It depends on stage 1 and on itself: a dependency that never comes keeps the queue from scheduling it by itself.
"""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta
from typing import Any, Final

from liftlock.domain.operations.definition import Operation
from liftlock.domain.tasks.lifecycle import RESOLVED, Cancel, Schedule
from liftlock.domain.tasks.statuses import Task
from liftlock.errors import ConflictError
from liftlock.ports.envelope import AuditRecord, Envelope
from liftlock.ports.operation_store import OperationRecord
from liftlock.ports.task_store import TaskStore
from liftlock.services.authorize import Authorizer
from liftlock.services.configured_operations import ACTOR, ConfiguredOperations
from liftlock.services.create_task import CreateTask
from liftlock.values.instants import format_instant

AFTER_APPROVAL: Final = timedelta(hours=12)
"""How long after the last moment of approval stage 2 may still run."""
KEPT: Final = timedelta(days=365)


class StageTwo:
    """Creates, schedules and cancels the tasks of stage 2."""

    def __init__(
        self,
        configured: ConfiguredOperations,
        tasks: TaskStore,
        create_task: CreateTask,
        authorizer: Authorizer,
    ) -> None:
        self._configured = configured
        self._tasks = tasks
        self._create_task = create_task
        self._authorizer = authorizer

    async def ensure(self, record: OperationRecord, now: datetime) -> Task | None:
        """Return the task, created now if it is not there; None: its operation is not configured any more."""
        found = await self._tasks.task(record.stage2_task_id)
        operation = self._configured.find(record.operation)
        if found is not None or operation is None:
            return found
        definition = _definition(record, operation, now)
        scopes = [
            f"queue:create-task:high:{operation.stage2.queue}",
            "queue:create-task:project:none",
            f"queue:scheduler-id:{operation.stage1.scheduler_id}",
        ]
        caller = await self._authorizer.internal(f"{ACTOR}/{record.operation_id}", scopes, now)
        with contextlib.suppress(ConflictError):  # another control plane made it at the same moment
            await self._create_task(caller, record.stage2_task_id, definition, now, stage_two=True)
        return await self._tasks.task(record.stage2_task_id)

    async def schedule(self, record: OperationRecord, now: datetime) -> None:
        """Let the task run; does nothing the second time. Raises ConflictError if its deadline has passed."""
        audit = AuditRecord(
            ACTOR,
            "operations.schedule",
            f"task/{record.stage2_task_id}",
            "allowed",
            {"operationId": record.operation_id, "digest": record.digest},
        )
        await self._tasks.transition(record.stage2_task_id, Schedule(), Envelope(now, audit=(audit,)))

    async def cancel(self, record: OperationRecord, now: datetime) -> None:
        """Cancel whatever of the operation's two tasks has not ended."""
        for task_id in (record.stage1_task_id, record.stage2_task_id):
            task = await self._tasks.task(task_id)
            if task is None or task.progress.state in RESOLVED:
                continue
            audit = AuditRecord(
                ACTOR,
                "operations.cancelTask",
                f"task/{task_id}",
                "changed",
                {"operationId": record.operation_id},
            )
            try:
                await self._tasks.transition(task_id, Cancel(), Envelope(now, audit=(audit,)))
            except ConflictError:
                continue  # its deadline came first


def _definition(record: OperationRecord, operation: Operation, now: datetime) -> dict[str, Any]:
    return {
        "taskQueueId": operation.stage2.queue,
        "schedulerId": operation.stage1.scheduler_id,
        "projectId": "none",
        "taskGroupId": record.stage1_task_id,
        "dependencies": [record.stage1_task_id, record.stage2_task_id],
        "priority": "high",
        "retries": 5,
        "created": format_instant(now),
        "deadline": format_instant(record.expires + AFTER_APPROVAL),
        "expires": format_instant(record.created + KEPT),
        "metadata": {
            "name": f"{operation.name}, stage 2: {operation.stage2.kind}",
            "description": operation.description,
            "owner": "operations@liftlock.invalid",
            "source": "https://liftlock.invalid/operations",
        },
        "extra": {"operation": {"id": record.operation_id, "stage": 2}},
        "payload": {"operationId": record.operation_id},
    }
