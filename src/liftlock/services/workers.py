"""Workers as the queue knows them: who claims, who is quarantined, which queues there are.

Source: docs/reference/queue.md#workers
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from liftlock.domain.tasks.claims import LEASE
from liftlock.errors import NotFoundError
from liftlock.ports.task_store import TaskStore
from liftlock.ports.worker_store import SeenWorker, WorkerStore
from liftlock.services.authorize import Caller
from liftlock.services.task_queries import queue_wire
from liftlock.values.instants import format_instant, format_ms, from_ms, parse_instant, to_ms

_WITHOUT_END = timedelta(days=1000 * 365)


class Workers:
    """Shows and quarantines workers. Every method raises RefusedError before it says what exists."""

    def __init__(self, store: WorkerStore, tasks: TaskStore) -> None:
        self._store = store
        self._tasks = tasks

    async def get(self, caller: Caller, queue_id: str, group: str, worker: str) -> SeenWorker:
        """Return the worker.

        Raises:
            NotFoundError: it was never seen, or not for long.
        """
        caller.require(f"queue:get-worker:{queue_id}/{group}/{worker}")
        found = await self._store.seen(queue_id, group, worker)
        if found is None:
            raise NotFoundError(f"worker {group}/{worker} of {queue_id} is not known")
        return found

    async def listed(
        self, caller: Caller, queue_id: str, after: tuple[str, str], limit: int
    ) -> list[SeenWorker]:
        """Return a page of the queue's workers."""
        caller.require(f"queue:list-workers:{queue_id}")
        return await self._store.listed(queue_id, after, limit)

    async def quarantine(
        self, caller: Caller, queue_id: str, group: str, worker: str, given: Mapping[str, Any], now: datetime
    ) -> SeenWorker:
        """Return the worker, which gets no tasks until the time given (in the past: it gets tasks again)."""
        caller.require(f"queue:quarantine-worker:{queue_id}/{group}/{worker}")
        until = parse_instant(given["quarantineUntil"], what="quarantineUntil")
        until = min(until, now + _WITHOUT_END)
        detail = {
            "updatedAt": format_instant(now),
            "clientId": caller.client_id,
            "quarantineUntil": format_instant(until),
            "quarantineInfo": given.get("quarantineInfo", ""),
        }
        audit = caller.record(
            "queue.quarantineWorker",
            f"worker/{queue_id}/{group}/{worker}",
            until=detail["quarantineUntil"],
            info=detail["quarantineInfo"],
        )
        return await self._store.quarantine(
            queue_id, group, worker, to_ms(until), detail, caller.envelope(now, audit)
        )

    async def declare(
        self, caller: Caller, queue_id: str, group: str, worker: str, given: Mapping[str, Any], now: datetime
    ) -> SeenWorker:
        """Return the worker, known from now on, with the properties given."""
        name = f"queue:declare-worker:{queue_id}/{group}/{worker}"
        caller.require([f"{name}#{field}" for field in given] or [f"{name}#"])
        expires = to_ms(parse_instant(given["expires"], what="expires")) if "expires" in given else None
        audit = caller.record("queue.declareWorker", f"worker/{queue_id}/{group}/{worker}")
        return await self._store.declare(queue_id, group, worker, expires, caller.envelope(now, audit))

    async def queues(self, caller: Caller, scope: str) -> list[str]:
        """Return the queues that have waiting tasks or known workers, sorted, to who has `scope`."""
        caller.require(scope)
        return await self._tasks.queues()

    async def wire_of(self, worker: SeenWorker) -> dict[str, Any]:
        """Return the worker on the wire, with its latest task."""
        provisioner, worker_type = worker.queue_id.split("/")
        wire: dict[str, Any] = {
            "provisionerId": provisioner,
            "workerType": worker_type,
            "workerGroup": worker.worker_group,
            "workerId": worker.worker_id,
            "firstClaim": format_ms(worker.first_claim_ms),
            "lastDateActive": format_ms(worker.last_seen_ms),
            "recentTasks": worker.recent_tasks,
            "expires": format_ms(worker.expires_ms),
            "actions": [],
            "quarantineDetails": worker.quarantine_details,
        }
        if worker.quarantine_until_ms:
            wire["quarantineUntil"] = format_ms(worker.quarantine_until_ms)
        if worker.recent_tasks:
            wire["latestTask"] = worker.recent_tasks[-1]
        return wire


def described_queue(queue_id: str, now: datetime) -> dict[str, Any]:
    """Return a queue's description on the wire: queues are not declared, they are what tasks wait in."""
    return {
        **queue_wire(queue_id),
        "description": "",
        "stability": "stable",
        "expires": format_instant(now + timedelta(days=1)),
        "lastDateActive": format_instant(now),
    }


def is_quarantined(worker: SeenWorker, now: datetime) -> bool:
    """Tell whether the worker gets no tasks at `now`."""
    return now < from_ms(worker.quarantine_until_ms)


def is_active(worker: SeenWorker, now: datetime) -> bool:
    """Tell whether the worker claimed something within a lease's length."""
    return now - from_ms(worker.last_seen_ms) < LEASE
