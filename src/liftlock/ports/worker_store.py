"""The store of workers, as the queue knows them, and of worker pools with their registered workers."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from liftlock.ports.envelope import Envelope


class SeenWorker(msgspec.Struct, frozen=True):
    """A worker that claimed from a queue. `recent_tasks` are {taskId, runId}, the latest last."""

    queue_id: str
    worker_group: str
    worker_id: str
    first_claim_ms: int
    last_seen_ms: int
    quarantine_until_ms: int
    quarantine_details: list[dict[str, Any]]
    recent_tasks: list[dict[str, Any]]
    expires_ms: int


class PoolWorker(msgspec.Struct, frozen=True):
    """A worker registered in a pool. `secret` is the sha256 of what it re-registers with; None before it registered."""

    pool_id: str
    worker_group: str
    worker_id: str
    document: dict[str, Any]
    secret: str | None
    expires_ms: int


class PoolError(msgspec.Struct, frozen=True):
    """What went wrong in a pool; `document` is its wire form."""

    error_id: str
    pool_id: str
    reported_ms: int
    document: dict[str, Any]


class WorkerStore(Protocol):
    """Workers of queues and of pools."""

    async def seen(self, queue_id: str, worker_group: str, worker_id: str) -> SeenWorker | None:
        """Return the worker, or None."""
        ...

    async def listed(self, queue_id: str, after: tuple[str, str], limit: int) -> list[SeenWorker]:
        """Return workers of the queue after (group, id), in that order."""
        ...

    async def quarantine(
        self,
        queue_id: str,
        worker_group: str,
        worker_id: str,
        until_ms: int,
        detail: dict[str, Any],
        envelope: Envelope,
    ) -> SeenWorker:
        """Return the worker, which gets no tasks until `until_ms`; it need not have been seen before."""
        ...

    async def declare(
        self, queue_id: str, worker_group: str, worker_id: str, expires_ms: int | None, envelope: Envelope
    ) -> SeenWorker:
        """Return the worker, now known; remembered until `expires_ms` if given."""
        ...

    async def pool(self, pool_id: str) -> dict[str, Any] | None:
        """Return the pool's document, or None."""
        ...

    async def pools(self, after: str, limit: int) -> list[dict[str, Any]]:
        """Return documents of pools with ids after `after`, sorted by id."""
        ...

    async def put_pool(
        self, pool_id: str, document: dict[str, Any], envelope: Envelope, *, create: bool
    ) -> None:
        """Store the pool's document.

        Raises:
            ConflictError: `create`, and there is another one of that id.
        """
        ...

    async def delete_pool(self, pool_id: str, envelope: Envelope) -> None:
        """Forget the pool with its workers and errors."""
        ...

    async def pool_worker(self, pool_id: str, worker_group: str, worker_id: str) -> PoolWorker | None:
        """Return the worker of the pool, or None."""
        ...

    async def put_pool_worker(self, worker: PoolWorker, envelope: Envelope, *, create: bool) -> None:
        """Store the worker.

        Raises:
            ConflictError: `create`, and there is one of that id.
        """
        ...

    async def delete_pool_worker(
        self, pool_id: str, worker_group: str, worker_id: str, envelope: Envelope
    ) -> None:
        """Forget the worker; there may be none."""
        ...

    async def pool_workers(
        self, pool_id: str, worker_group: str | None, after: tuple[str, str], limit: int
    ) -> list[PoolWorker]:
        """Return workers of the pool (of one group, if given) after (group, id), in that order."""
        ...

    async def add_error(self, error: PoolError, envelope: Envelope) -> None:
        """Store what went wrong."""
        ...

    async def errors(self, pool_id: str, before_ms: int, limit: int) -> list[PoolError]:
        """Return errors of the pool reported before `before_ms`, the latest first."""
        ...

    async def expire(self, now_ms: int) -> int:
        """Forget workers that were not seen for long and registered ones that expired; return how many."""
        ...
