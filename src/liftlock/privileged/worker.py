"""The privileged worker: claims stages 2, one at a time, until it is asked to end."""

from __future__ import annotations

import asyncio

import structlog

from liftlock.errors import ConflictError, IsolationUnavailableError, LiftlockError
from liftlock.ports.queue_client import Claim, QueueUnavailableError
from liftlock.privileged.parts import Parts
from liftlock.privileged.run import PrivilegedRun

RETRY_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
LEAST_POLL_S = 0.5
_log = structlog.get_logger(__name__)


class PrivilegedWorker:
    """Serves one privileged queue."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def serve(self, stop: asyncio.Event) -> None:
        """Claim and perform until `stop`; a run under way is finished first.

        Raises:
            IsolationUnavailableError: hostile content can't be parsed safely any more.
        """
        stopping = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                claiming = asyncio.ensure_future(self._next())
                await asyncio.wait({claiming, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if not claiming.done():
                    claiming.cancel()
                    await asyncio.gather(claiming, return_exceptions=True)
                    break
                await self._run(claiming.result())
        finally:
            stopping.cancel()
            await self._give_back()

    async def _next(self) -> Claim:
        """Return the next claim; what a predecessor, or a poll without an answer, left claimed is given back first."""
        parts, failures, certain = self._parts, 0, False
        while True:
            try:
                if not certain:
                    await self._parts.queue.give_back(parts.queue_id, parts.worker_group, parts.worker_id, ())
                    certain = True
                claims = await parts.queue.claim_work(parts.queue_id, parts.worker_group, parts.worker_id, 1)
            except QueueUnavailableError:
                certain = False
                await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
                failures += 1
                continue
            except LiftlockError as error:
                _log.error("the privileged worker is refused", code=error.code, error=error.message)
                await asyncio.sleep(RETRY_S[-1])
                continue
            failures = 0
            if claims:
                return claims[0]
            await asyncio.sleep(LEAST_POLL_S)

    async def _run(self, claim: Claim) -> None:
        try:
            await PrivilegedRun(self._parts, claim)()
        except IsolationUnavailableError:
            raise
        except ConflictError as error:
            _log.warning("a stage 2 is no longer ours", run=str(claim.run), error=error.message)
        except LiftlockError as error:
            # What was done is told by a later run: the claim is given back, and every operation finishes what it began.
            _log.error(
                "a stage 2 could not be recorded", run=str(claim.run), code=error.code, error=error.message
            )
        except Exception as error:  # noqa: BLE001 -- a process loop; the text of an unforeseen error may hold a secret
            _log.error("a stage 2 failed", run=str(claim.run), error=type(error).__name__)

    async def _give_back(self) -> None:
        parts = self._parts
        try:
            async with asyncio.timeout(2.0):
                await parts.queue.give_back(parts.queue_id, parts.worker_group, parts.worker_id, ())
        except (LiftlockError, TimeoutError) as error:
            _log.warning("claims could not be given back", error=type(error).__name__)
