"""Holds the claim on one run while something is done for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import structlog

from liftlock.domain.credentials.certificates import Credentials
from liftlock.errors import ConflictError, LiftlockError
from liftlock.ports.queue_client import Claim, Lease, QueueClient, QueueUnavailableError

T = TypeVar("T")
RENEW_AT = 0.5
RETRY_S = 2.0
_log = structlog.get_logger(__name__)


class Held:
    """One claim; `credentials` are the newest of the run."""

    def __init__(self, queue: QueueClient, claim: Claim) -> None:
        self._queue = queue
        self._run = claim.run
        self._lease: Lease = claim.lease

    @property
    def credentials(self) -> Credentials:
        """The newest credentials of the run."""
        return self._lease.credentials

    async def during(self, work: Awaitable[T]) -> T:
        """Return what `work` returns, the claim renewed meanwhile.

        Raises:
            ConflictError: the run is no longer ours; `work` was ended.
        """
        doing = asyncio.ensure_future(work)
        keeping = asyncio.ensure_future(self._keep())
        try:
            await asyncio.wait({doing, keeping}, return_when=asyncio.FIRST_COMPLETED)
            if doing.done():
                return doing.result()
            keeping.result()
            raise ConflictError(f"the claim on {self._run} could not be renewed")
        finally:
            for each in (doing, keeping):
                each.cancel()
            await asyncio.gather(doing, keeping, return_exceptions=True)

    async def _keep(self) -> None:
        """Renew until cancelled; raises ConflictError once the claim is lost."""
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        while True:
            length = max(0.0, self._lease.remaining.total_seconds())
            await asyncio.sleep(max(RETRY_S, renewed + length * RENEW_AT - loop.time()))
            asked = loop.time()
            try:
                self._lease = await self._queue.reclaim(self._run, self.credentials)
            except QueueUnavailableError as error:
                _log.warning("a claim could not be renewed yet", run=str(self._run), error=error.message)
                if loop.time() > renewed + length:
                    raise ConflictError(f"the claim on {self._run} has lapsed") from error
            except LiftlockError as error:
                raise ConflictError(f"the claim on {self._run} is lost: {error.message}") from error
            else:
                renewed = asked
