"""The store of tasks: coarse operations, each one transaction.

Writes take an envelope: its audit records, nonce and further records commit with the change or not at all. The store
decides with `domain.tasks.lifecycle` on rows that it has locked, so nothing can change between decision and write.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from liftlock.domain.tasks.definition import Definition
from liftlock.domain.tasks.index_routes import IndexEntry
from liftlock.domain.tasks.lifecycle import TaskEvent
from liftlock.domain.tasks.statuses import Task
from liftlock.ports.envelope import Envelope


class StoredTask(msgspec.Struct, frozen=True):
    """A task with its immutable definition in wire form, defaults filled in. `number` orders tasks by creation."""

    number: int
    task: Task
    document: dict[str, Any]


class Claimed(msgspec.Struct, frozen=True):
    """A run just claimed: the last of `task`. The definition is its wire form as it is stored, as JSON."""

    task: Task
    document: msgspec.Raw


class Prospect(msgspec.Struct, frozen=True):
    """What a worker that asks for work may expect, read without a write."""

    has_work: bool
    quarantined: bool


class GroupInfo(msgspec.Struct, frozen=True):
    """A task group. `expires_ms` is when the last of its tasks expires; `sealed_ms` is None while it is open."""

    group_id: str
    scheduler_id: str
    expires_ms: int
    sealed_ms: int | None


class QueueEntry(msgspec.Struct, frozen=True):
    """A task that is pending or claimed in a queue; `since_ms` is when its last run was scheduled or started."""

    number: int
    task: Task
    document: dict[str, Any]


class TaskStore(Protocol):
    """Tasks, their groups and dependencies, and what waits to be claimed."""

    async def create(
        self, definition: Definition, entries: Sequence[IndexEntry], envelope: Envelope
    ) -> tuple[Task, bool]:
        """Return the task and whether this call created it; pending at once if every dependency is satisfied.

        Raises:
            ConflictError: another definition has this id, the group is sealed or has another schedulerId.
            InputInvalidError: a dependency does not exist, or expires before the deadline.
        """
        ...

    async def task(self, task_id: str) -> Task | None:
        """Return the task without its definition, or None."""
        ...

    async def document(self, task_id: str) -> msgspec.Raw | None:
        """Return the definition of the task in wire form, as JSON, or None."""
        ...

    async def stored(self, task_ids: Sequence[str]) -> list[StoredTask]:
        """Return the tasks that exist, in the order asked for."""
        ...

    async def transition(self, task_id: str, event: TaskEvent, envelope: Envelope) -> Task:
        """Return the task after `event` at `envelope.now`; a resolution schedules dependents in the same transaction.

        Raises:
            NotFoundError: there is no such task.
            ConflictError: the event contradicts the task's state.
        """
        ...

    async def prospect(self, queue_id: str, worker_group: str, worker_id: str, now_ms: int) -> Prospect:
        """Return whether this worker could claim something now."""
        ...

    async def claim(
        self, queue_id: str, worker_group: str, worker_id: str, count: int, until_ms: int, envelope: Envelope
    ) -> list[Claimed]:
        """Return up to `count` tasks claimed until `until_ms`: highest priority first, then longest waiting.

        A quarantined worker gets none.
        """
        ...

    async def claim_one(
        self, task_id: str, run_id: int, worker_group: str, worker_id: str, until_ms: int, envelope: Envelope
    ) -> Claimed:
        """Return the task with run `run_id` claimed.

        Raises:
            NotFoundError: no such task.
            ConflictError: that run is not waiting to be claimed, or the worker is quarantined.
        """
        ...

    async def change_rank(self, task_id: str, rank: int, envelope: Envelope) -> Task:
        """Return the unresolved task with the priority of `rank`; its definition stays as it is.

        Raises:
            NotFoundError: no such task.
            ConflictError: it is resolved.
        """
        ...

    async def unresolved_of(self, group_id: str, after_number: int, limit: int) -> list[tuple[int, str]]:
        """Return (number, task id) of unresolved tasks of the group created after `after_number`, in that order."""
        ...

    async def group(self, group_id: str) -> GroupInfo | None:
        """Return the group, or None if no task was ever created in it."""
        ...

    async def seal(self, group_id: str, envelope: Envelope) -> GroupInfo:
        """Return the group, sealed now or before.

        Raises:
            NotFoundError: no such group.
        """
        ...

    async def tasks_of_group(self, group_id: str, after_number: int, limit: int) -> list[StoredTask]:
        """Return up to `limit` tasks of the group created after `after_number`, in the order of creation."""
        ...

    async def dependents(self, task_id: str, after_number: int, limit: int) -> list[StoredTask]:
        """Return up to `limit` tasks that depend on `task_id`, created after `after_number`, in that order."""
        ...

    async def pending(self, queue_id: str, after_number: int, limit: int) -> list[QueueEntry]:
        """Return tasks waiting in the queue, in the order they began to wait; `number` is that place."""
        ...

    async def claimed(self, queue_id: str, after_number: int, limit: int) -> list[QueueEntry]:
        """Return tasks of the queue that are running, in the order of creation."""
        ...

    async def counts(self, queue_id: str) -> tuple[int, int]:
        """Return how many tasks of the queue are pending and how many are claimed."""
        ...

    async def queues(self) -> list[str]:
        """Return the queues that have waiting tasks or known workers, sorted."""
        ...

    async def has_due(self, now_ms: int) -> bool:
        """Tell, without a write, whether `sweep` would find something to handle."""
        ...

    async def sweep(self, now_ms: int, limit: int) -> int:
        """Expire lapsed claims, passed deadlines and expired tasks; return how many tasks were handled (≤ `limit`)."""
        ...
