"""The worker: takes runs into its slots until it is asked to end, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import shutil

import structlog

from liftlock.errors import ConflictError, LiftlockError
from liftlock.ports.queue_client import Claim, QueueUnavailableError
from liftlock.worker.claiming import Claiming
from liftlock.worker.journal import Entry
from liftlock.worker.parts import Parts
from liftlock.worker.run import TaskRun

RETRY_S = (0.2, 0.5, 1.0, 2.0, 5.0)
HAND_BACK_TRIES = 300
_log = structlog.get_logger(__name__)


class Worker:
    """Serves one queue with the slots of one sandbox."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._claiming = Claiming(parts.queue, parts.identity)
        self._runs: set[TaskRun] = set()
        self._broken = asyncio.Event()

    async def serve(self, stop: asyncio.Event, *, grace_s: float) -> bool:
        """Claim and run until `stop` is set; return False if it ended because no sandbox can be made any more.

        Runs that are left over from a predecessor are given back first. After `stop` runs may go on for `grace_s`.
        """
        ends = [asyncio.create_task(event.wait()) for event in (stop, self._broken)]
        before = asyncio.create_task(self.hand_back_leftovers())
        await asyncio.wait({before, *ends}, return_when=asyncio.FIRST_COMPLETED)
        before.cancel()
        slots = [asyncio.create_task(self._serve_slot(slot, stop)) for slot in self._parts.sandbox.slots]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        for task in ends:
            task.cancel()
        if self._runs and not self._broken.is_set():
            await asyncio.wait(slots, timeout=grace_s)
        for run in self._runs:
            run.shut_down()
        await asyncio.gather(before, *ends, *slots, return_exceptions=True)
        await self._claiming.close()
        return not self._broken.is_set()

    async def hand_back_leftovers(self) -> None:
        """Report `worker-shutdown` for every claim that a predecessor left; its sandboxes are dead by now."""
        for entry in self._parts.journal.entries():
            if await self._hand_back(entry):
                self._parts.journal.forget(entry.run)
                directory = self._parts.runs_dir / f"{entry.task_id}-{entry.run_id}"
                shutil.rmtree(directory, ignore_errors=True)

    async def _hand_back(self, entry: Entry) -> bool:
        """Return whether the claim is settled: handed back, or not ours any more."""
        for attempt in range(HAND_BACK_TRIES):
            try:
                await self._parts.queue.report(entry.run, entry.credentials, "worker-shutdown")
            except QueueUnavailableError:
                await asyncio.sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])
            except ConflictError:
                return True
            except LiftlockError as error:
                _log.error("a leftover run can't be given back", run=str(entry.run), code=error.code)
                return True
            else:
                _log.info("a leftover run was given back", run=str(entry.run))
                return True
        return False

    async def _serve_slot(self, slot: int, stop: asyncio.Event) -> None:
        stopping = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                getting = asyncio.ensure_future(self._claiming.next())
                await asyncio.wait({getting, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if not getting.done():
                    getting.cancel()
                    await asyncio.gather(getting, return_exceptions=True)
                    return
                await self._run(getting.result(), slot)
        finally:
            stopping.cancel()

    async def _run(self, claim: Claim, slot: int) -> None:
        try:
            run = TaskRun(self._parts, claim, slot, self._broken)
            self._runs.add(run)
            try:
                await run()
            finally:
                self._runs.discard(run)
        except Exception:  # noqa: BLE001 -- a process loop: one run's failure is logged and must not end the others
            _log.exception("a run failed", run=str(claim.run))
        finally:
            self._claiming.release(claim.run)
