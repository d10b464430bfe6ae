"""Getting work: one long poll for each free slot, and certainty about what the control plane thinks this worker holds.

An answer that is lost on its way (a killed process, a broken connection) may have held a claim. So after a start, and
after every poll that ended without an answer, the worker says which runs it works on; all others are given back and
retried at once. While that is said no poll is under way, since its claim would be given back too.
"""

from __future__ import annotations

import asyncio
import contextlib

import structlog

from liftlock.errors import LiftlockError, NotFoundError
from liftlock.ports.queue_client import Claim, QueueClient, QueueUnavailableError, RunKey
from liftlock.worker.parts import Identity

RETRY_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
REFUSED_S = 30.0
"""Pause after the control plane refused the worker itself: somebody has to change something."""
LEAST_POLL_S = 0.5
"""An empty answer that came sooner is no long poll: then it is waited before the next one."""
SETTLE_S = 0.2
"""After polls were broken off: time for the control plane to notice."""
CLOSE_S = 2.0
_log = structlog.get_logger(__name__)


class Claiming:
    """Claims for one worker. `held`: the runs that it works on, from the moment their claim arrived."""

    def __init__(self, queue: QueueClient, identity: Identity) -> None:
        self._queue = queue
        self._identity = identity
        self._polls: set[asyncio.Task[tuple[Claim, ...]]] = set()
        self._settling = asyncio.Lock()
        self._certain = False
        self._failures = 0
        self.held: set[RunKey] = set()

    async def next(self) -> Claim:
        """Return a claim as soon as there is one; the run counts as held until `release`."""
        while True:
            await self._settle()
            began = asyncio.get_running_loop().time()
            claims = await self._poll()
            if claims:
                return claims[0]
            if self._certain and asyncio.get_running_loop().time() - began < LEAST_POLL_S:
                await asyncio.sleep(LEAST_POLL_S)

    async def close(self) -> None:
        """Give back whatever this worker still holds: it ends, and its polls were broken off."""
        identity = self._identity
        try:
            async with asyncio.timeout(CLOSE_S):
                await asyncio.sleep(SETTLE_S)
                await self._queue.give_back(identity.queue_id, identity.worker_group, identity.worker_id, ())
        except (LiftlockError, TimeoutError) as error:
            _log.info("what this worker may still hold is given back at its next start", error=str(error))

    def release(self, run: RunKey) -> None:
        """Say that nothing is done for `run` any more."""
        self.held.discard(run)

    async def _poll(self) -> tuple[Claim, ...]:
        """Return what one long poll gives; without an answer nothing is certain any more."""
        poll = asyncio.create_task(self._ask())
        self._polls.add(poll)
        try:
            return await asyncio.shield(poll)
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                poll.cancel()
                await asyncio.gather(poll, return_exceptions=True)
                raise
            return ()  # broken off to settle
        except LiftlockError as error:
            self._certain = False
            await self._pause(error)
            return ()
        finally:
            self._polls.discard(poll)

    async def _ask(self) -> tuple[Claim, ...]:
        identity = self._identity
        claims = await self._queue.claim_work(identity.queue_id, identity.worker_group, identity.worker_id, 1)
        self.held |= {claim.run for claim in claims}
        self._failures = 0
        return claims

    async def _settle(self) -> None:
        """Return once the control plane and this worker agree on what it holds."""
        async with self._settling:
            while not self._certain:
                polls = list(self._polls)
                for poll in polls:
                    poll.cancel()
                if polls:
                    await asyncio.gather(*polls, return_exceptions=True)
                    await asyncio.sleep(SETTLE_S)
                await self._give_back()

    async def _give_back(self) -> None:
        identity = self._identity
        try:
            given = await self._queue.give_back(
                identity.queue_id, identity.worker_group, identity.worker_id, self.held
            )
        except NotFoundError:
            given = ()  # a control plane without this route: what was lost ends with its lease
        except LiftlockError as error:
            await self._pause(error)
            return
        for run in given:
            _log.info("a run that was never taken up was given back", run=str(run))
        self._certain = True

    async def _pause(self, error: LiftlockError) -> None:
        refused = not isinstance(error, QueueUnavailableError)
        said = _log.error if refused else _log.warning
        said("no work can be claimed", code=error.code, error=error.message)
        pause = REFUSED_S if refused else RETRY_S[min(self._failures, len(RETRY_S) - 1)]
        self._failures += 1
        with contextlib.suppress(TimeoutError):
            await asyncio.sleep(pause)
