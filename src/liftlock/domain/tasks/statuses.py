"""The wire form of a task's status."""

from __future__ import annotations

from typing import Any

import msgspec

from liftlock.domain.tasks.definition import PRIORITIES
from liftlock.domain.tasks.lifecycle import Progress, Run
from liftlock.values.instants import format_ms


class Task(msgspec.Struct, frozen=True):
    """A task as the store holds it, without its definition. `rank` is the index in PRIORITIES."""

    task_id: str
    task_queue_id: str
    scheduler_id: str
    project_id: str
    task_group_id: str
    expires_ms: int
    rank: int
    routes: tuple[str, ...]
    tags: dict[str, str]
    progress: Progress


def status_of(task: Task) -> dict[str, Any]:
    """Return the status structure of the wire: identity, state and all runs in order."""
    provisioner, worker_type = task.task_queue_id.split("/")
    return {
        "taskId": task.task_id,
        "provisionerId": provisioner,
        "workerType": worker_type,
        "taskQueueId": task.task_queue_id,
        "schedulerId": task.scheduler_id,
        "projectId": task.project_id,
        "taskGroupId": task.task_group_id,
        "deadline": format_ms(task.progress.deadline_ms),
        "expires": format_ms(task.expires_ms),
        "retriesLeft": task.progress.retries_left,
        "state": task.progress.state,
        "priority": PRIORITIES[task.rank],
        "runs": [_run(run) for run in task.progress.runs],
    }


def _run(run: Run) -> dict[str, Any]:
    wire: dict[str, Any] = {"runId": run.run_id, "state": run.state, "reasonCreated": run.reason_created}
    if run.reason_resolved is not None:
        wire["reasonResolved"] = run.reason_resolved
    if run.worker_group is not None:
        wire["workerGroup"] = run.worker_group
    if run.worker_id is not None:
        wire["workerId"] = run.worker_id
    if run.taken_until_ms is not None:
        wire["takenUntil"] = format_ms(run.taken_until_ms)
    wire["scheduled"] = format_ms(run.scheduled_ms)
    if run.started_ms is not None:
        wire["started"] = format_ms(run.started_ms)
    if run.resolved_ms is not None:
        wire["resolved"] = format_ms(run.resolved_ms)
    return wire
