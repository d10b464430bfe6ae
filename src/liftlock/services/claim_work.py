"""Hand tasks to workers: claim (a long poll), reclaim, and the claim of one named run."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from liftlock.domain.tasks.claims import LEASE, LONG_POLL, MAX_TASKS
from liftlock.domain.tasks.lifecycle import Reclaim
from liftlock.domain.tasks.statuses import Task, status_of
from liftlock.errors import InputInvalidError, NotFoundError
from liftlock.ports.clock import Clock
from liftlock.ports.envelope import Envelope
from liftlock.ports.task_store import Claimed, TaskStore
from liftlock.ports.wakeups import Wakeups
from liftlock.services.authorize import Caller
from liftlock.services.run_credentials import RunCredentials
from liftlock.values.instants import format_instant, from_ms, to_ms

LOOK_EVERY_S = 5.0
"""Seconds after which a waiting claim looks at the store although nothing woke it."""


class ClaimWork:
    """Claims and reclaims."""

    def __init__(self, store: TaskStore, wakeups: Wakeups, clock: Clock, credentials: RunCredentials) -> None:
        self._store = store
        self._wakeups = wakeups
        self._clock = clock
        self._credentials = credentials

    async def claim(
        self, caller: Caller, queue_id: str, worker_group: str, worker_id: str, count: int, now: datetime
    ) -> list[dict[str, Any]]:
        """Return up to `count` claims as soon as there is work, or none after `LONG_POLL`.

        Raises:
            RefusedError: the caller may not claim from this queue, or not as this worker.
            InputInvalidError: `count` is not from 1 to `MAX_TASKS`.
        """
        caller.require([f"queue:claim-work:{queue_id}", f"queue:worker-id:{worker_group}/{worker_id}"])
        if not 1 <= count <= MAX_TASKS:
            raise InputInvalidError(f"tasks: expected 1 to {MAX_TASKS}, got {count}")
        with self._wakeups.listen(f"queue:{queue_id}") as ticket:
            while True:
                at = self._clock.now()
                prospect = await self._store.prospect(queue_id, worker_group, worker_id, to_ms(at))
                if prospect.has_work and not prospect.quarantined:
                    claimed = await self._store.claim(
                        queue_id, worker_group, worker_id, count, to_ms(at + LEASE), caller.envelope(at)
                    )
                    if claimed:
                        return [self._answer(one, at) for one in claimed]
                left = (now + LONG_POLL - at).total_seconds()
                if left <= 0:
                    return []
                await ticket.wait(min(left, LOOK_EVERY_S))

    async def claim_one(
        self, caller: Caller, task_id: str, run_id: int, worker_group: str, worker_id: str, now: datetime
    ) -> dict[str, Any]:
        """Return the claim on run `run_id` of the task.

        Raises:
            RefusedError, NotFoundError, ConflictError: may not; no such task; not waiting to be claimed.
        """
        caller.require(f"queue:worker-id:{worker_group}/{worker_id}")
        task = await self._store.task(task_id)
        if task is None:
            caller.require("queue:claim-task:*")
            raise NotFoundError(f"task {task_id} does not exist")
        caller.require(f"queue:claim-task:{task.task_queue_id}")
        audit = caller.record(
            "queue.claimTask", f"task/{task_id}/{run_id}", worker=f"{worker_group}/{worker_id}"
        )
        claimed = await self._store.claim_one(
            task_id, run_id, worker_group, worker_id, to_ms(now + LEASE), caller.envelope(now, audit)
        )
        return self._answer(claimed, now)

    async def reclaim(self, caller: Caller, task_id: str, run_id: int, now: datetime) -> dict[str, Any]:
        """Return the renewed claim with new credentials.

        Raises:
            RefusedError: these are not the credentials of that run.
            ConflictError: the run is resolved or its claim has lapsed: the worker must stop.
        """
        caller.require(f"queue:reclaim-task:{task_id}/{run_id}")
        envelope: Envelope = caller.envelope(now)
        task = await self._store.transition(task_id, Reclaim(run_id, to_ms(now + LEASE)), envelope)
        [stored] = await self._store.stored([task_id])
        return self._claim(task, stored.document, now)

    def _answer(self, claimed: Claimed, now: datetime) -> dict[str, Any]:
        return {**self._claim(claimed.task, claimed.document, now), "task": claimed.document}

    def _claim(self, task: Task, document: dict[str, Any], now: datetime) -> dict[str, Any]:
        run = task.progress.runs[-1]
        group, worker = run.worker_group or "", run.worker_id or ""
        until = from_ms(run.taken_until_ms or 0)
        credentials = self._credentials.for_run(
            task.task_id, run.run_id, group, worker, document["scopes"], start=now, until=until
        )
        return {
            "status": status_of(task),
            "runId": run.run_id,
            "workerGroup": group,
            "workerId": worker,
            "takenUntil": format_instant(until),
            "credentials": credentials,
        }
