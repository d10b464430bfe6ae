"""The claim loop: one long poll for each free slot, nothing else while there is no work."""

from __future__ import annotations

import asyncio
import shutil

import structlog

from liftlock.errors import ConflictError, LiftlockError
from liftlock.ports.queue_client import Claim, QueueUnavailableError
from liftlock.worker.journal import Entry
from liftlock.worker.parts import Parts
from liftlock.worker.run import TaskRun

RETRY_S = (0.5, 1.0, 2.0, 5.0, 10.0)
REFUSED_S = 30.0
"""Pause after the control plane refused the worker itself: somebody has to change something."""
LEAST_POLL_S = 0.5
"""An empty answer that came sooner is no long poll: then it is waited before the next one."""
HAND_BACK_TRIES = 60
_log = structlog.get_logger(__name__)


class Worker:
    """Serves one queue with the slots of one sandbox."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._runs: set[TaskRun] = set()
        self._broken = asyncio.Event()

    async def serve(self, stop: asyncio.Event, *, grace_s: float) -> bool:
        """Claim and run until `stop` is set; return False if it ended because no sandbox can be made any more.

        Runs that are left over from a predecessor are given back first. After `stop` runs may go on for `grace_s`.
        """
        handing_back = asyncio.create_task(self.hand_back_leftovers())
        slots = [asyncio.create_task(self._serve_slot(slot, stop)) for slot in self._parts.sandbox.slots]
        ends = [asyncio.create_task(event.wait()) for event in (stop, self._broken)]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        for task in (*ends, handing_back):
            task.cancel()
        if self._runs:
            _, pending = await asyncio.wait(slots, timeout=0 if self._broken.is_set() else grace_s)
            if pending:
                for run in self._runs:
                    run.shut_down()
        await asyncio.gather(handing_back, *ends, *slots, return_exceptions=True)
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
        stopping = asyncio.create_task(stop.wait())
        failures = 0
        try:
            while not stop.is_set():
                polling = asyncio.create_task(self._poll())
                await asyncio.wait({polling, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if not polling.done():
                    polling.cancel()
                    await asyncio.gather(polling, return_exceptions=True)
                    return
                claim, pause = polling.result()
                if claim is not None:
                    failures = 0
                    await self._run(claim, slot)
                    continue
                failures = failures + 1 if pause else 0
                if pause:
                    seconds = max(pause, RETRY_S[min(failures, len(RETRY_S)) - 1])
                    await asyncio.wait({stopping}, timeout=seconds)
        finally:
            stopping.cancel()

    async def _poll(self) -> tuple[Claim | None, float]:
        """Return a claim, or None and how long to wait at least before the next poll."""
        identity = self._parts.identity
        began = asyncio.get_running_loop().time()
        try:
            claims = await self._parts.queue.claim_work(
                identity.queue_id, identity.worker_group, identity.worker_id, 1
            )
        except QueueUnavailableError as error:
            _log.warning("no work can be claimed", error=error.message)
            return None, RETRY_S[0]
        except LiftlockError as error:
            _log.error("the control plane refuses this worker", code=error.code, error=error.message)
            return None, REFUSED_S
        if claims:
            return claims[0], 0.0
        return None, 0.0 if asyncio.get_running_loop().time() - began >= LEAST_POLL_S else LEAST_POLL_S

    async def _run(self, claim: Claim, slot: int) -> None:
        try:
            run = TaskRun(self._parts, claim, slot, self._broken)
        except (LiftlockError, KeyError, OSError) as error:
            _log.error("a claim can't be taken up", run=str(claim.run), error=repr(error))
            return
        self._runs.add(run)
        try:
            await run()
        except Exception:  # noqa: BLE001 -- a process loop: one run's failure is logged and must not end the others
            _log.exception("a run failed", run=str(claim.run))
        finally:
            self._runs.discard(run)
