"""Hand tasks to workers: claim (a long poll), reclaim, and the claim of one named run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import msgspec

from liftlock.domain.tasks.claims import LEASE, LONG_POLL, MAX_TASKS
from liftlock.domain.tasks.lifecycle import Reclaim, Report
from liftlock.domain.tasks.statuses import Task, status_of
from liftlock.errors import ConflictError, InputInvalidError, NotFoundError
from liftlock.ports.clock import Clock
from liftlock.ports.envelope import Envelope
from liftlock.ports.task_store import Claimed, TaskStore
from liftlock.ports.wakeups import Wakeups
from liftlock.services.authorize import Caller
from liftlock.services.run_credentials import RunCredentials
from liftlock.values.instants import format_instant, from_ms, to_ms
from liftlock.values.json import decode_as

CLAIMED_PAGE = 200
LOOK_EVERY_S = 5.0
"""Seconds after which a waiting claim looks at the store although nothing woke it."""


class _Scoped(msgspec.Struct):
    """What of a task's definition its credentials depend on; the rest is handed on as it is stored."""

    scopes: list[str]


class ClaimWork:
    """Claims and reclaims."""

    def __init__(self, store: TaskStore, wakeups: Wakeups, clock: Clock, credentials: RunCredentials) -> None:
        self._store = store
        self._wakeups = wakeups
        self._clock = clock
        self._credentials = credentials

    async def claim_now(
        self, caller: Caller, queue_id: str, worker_group: str, worker_id: str, count: int, now: datetime
    ) -> list[dict[str, Any]]:
        """Return up to `count` claims, or none if there is no work at this moment.

        Raises:
            RefusedError: the caller may not claim from this queue, or not as this worker.
            InputInvalidError: `count` is not from 1 to `MAX_TASKS`.
        """
        caller.require([f"queue:claim-work:{queue_id}", f"queue:worker-id:{worker_group}/{worker_id}"])
        if not 1 <= count <= MAX_TASKS:
            raise InputInvalidError(f"tasks: expected 1 to {MAX_TASKS}, got {count}")
        return await self._take(caller, queue_id, worker_group, worker_id, count, now)

    async def claim(
        self, caller: Caller, queue_id: str, worker_group: str, worker_id: str, count: int, now: datetime
    ) -> list[dict[str, Any]]:
        """Return up to `count` claims as soon as there is work, or none after `LONG_POLL`; errors as `claim_now`."""
        claimed = await self.claim_now(caller, queue_id, worker_group, worker_id, count, now)
        if claimed:
            return claimed
        with self._wakeups.listen(f"queue:{queue_id}") as ticket:
            while True:
                at = self._clock.now()
                prospect = await self._store.prospect(queue_id, worker_group, worker_id, to_ms(at))
                if prospect.has_work and not prospect.quarantined:
                    claimed = await self._take(caller, queue_id, worker_group, worker_id, count, at)
                    if claimed:
                        return claimed
                left = (now + LONG_POLL - at).total_seconds()
                if left <= 0:
                    return []
                await ticket.wait(min(left, LOOK_EVERY_S))

    async def _take(
        self, caller: Caller, queue_id: str, worker_group: str, worker_id: str, count: int, at: datetime
    ) -> list[dict[str, Any]]:
        claimed = await self._store.claim(
            queue_id, worker_group, worker_id, count, to_ms(at + LEASE), caller.envelope(at)
        )
        return [self._answer(one, at) for one in claimed]

    async def claim_one(
        self, caller: Caller, task_id: str, run_id: int, worker_group: str, worker_id: str, now: datetime
    ) -> dict[str, Any]:
        """Return the claim on run `run_id` of the task.

        Raises:
            RefusedError, NotFoundError, ConflictError: may not; no such task; not waiting to be claimed.
        """
        worker = f"queue:worker-id:{worker_group}/{worker_id}"
        task = await self._store.task(task_id)
        if task is None:
            caller.require(["queue:claim-task:*", worker])
            raise NotFoundError(f"task {task_id} does not exist")
        caller.require([f"queue:claim-task:{task.task_queue_id}", worker])
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
        return self._claim(task, stored.document["scopes"], now)

    async def give_back(
        self,
        caller: Caller,
        queue_id: str,
        worker_group: str,
        worker_id: str,
        keep: Collection[tuple[str, int]],
        now: datetime,
    ) -> list[tuple[str, int]]:
        """Return the runs (taskId, runId) that this worker held, except those to `keep`; they end as worker-shutdown.

        So a run whose claim was answered to a worker that died before it heard of it is retried at once. Only the
        worker itself knows what it holds, and only its own runs are touched.

        Raises:
            RefusedError: the caller may not claim from this queue, or not as this worker.
        """
        caller.require([f"queue:claim-work:{queue_id}", f"queue:worker-id:{worker_group}/{worker_id}"])
        given: list[tuple[str, int]] = []
        after = 0
        while page := await self._store.claimed(queue_id, after, CLAIMED_PAGE):
            for entry in page:
                run = entry.task.progress.runs[-1]
                key = (entry.task.task_id, run.run_id)
                if (run.worker_group, run.worker_id) == (worker_group, worker_id) and key not in keep:
                    who = caller.follow_up() if given else caller
                    if await self._end(who, key, now):
                        given.append(key)
            after = page[-1].number
        return given

    async def _end(self, caller: Caller, key: tuple[str, int], now: datetime) -> bool:
        """Resolve the run as worker-shutdown; False if something else ended it first."""
        try:
            await self._store.transition(
                key[0], Report(key[1], "exception", "worker-shutdown"), caller.envelope(now)
            )
        except (ConflictError, NotFoundError):
            return False
        return True

    def _answer(self, claimed: Claimed, now: datetime) -> dict[str, Any]:
        scopes = decode_as(claimed.document, _Scoped, what="task").scopes
        return {**self._claim(claimed.task, scopes, now), "task": claimed.document}

    def _claim(self, task: Task, scopes: Sequence[str], now: datetime) -> dict[str, Any]:
        run = task.progress.runs[-1]
        group, worker = run.worker_group or "", run.worker_id or ""
        until = from_ms(run.taken_until_ms or 0)
        credentials = self._credentials.for_run(
            task.task_id, run.run_id, group, worker, scopes, start=now, until=until
        )
        return {
            "status": status_of(task),
            "runId": run.run_id,
            "workerGroup": group,
            "workerId": worker,
            "takenUntil": format_instant(until),
            "credentials": credentials,
        }
