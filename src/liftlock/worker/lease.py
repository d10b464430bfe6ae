"""Keeps one claim for as long as the run lasts, and says in time when it is lost.

A claim is renewed when a third of it is left. If that fails until shortly before its end, or is refused, the claim is
lost: what runs must be dead before `takenUntil`, since from then on the run may be another worker's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import structlog

from liftlock.domain.credentials.certificates import Credentials
from liftlock.errors import LiftlockError
from liftlock.ports.clock import Clock
from liftlock.ports.queue_client import Lease, QueueClient, QueueUnavailableError, RunKey

RENEW_AT = 2 / 3
MAX_MARGIN_S = 15.0
"""How long before the end of the lease, at most, the run is ended if it could not be renewed; else a tenth of it."""
LOOK_EVERY_S = 5.0
"""How often the wall clock is looked at: a machine that slept must notice."""
RETRY_S = (0.2, 0.5, 1.0, 2.0, 5.0)
_log = structlog.get_logger(__name__)


class LeaseKeeper:
    """Renews the claim on `run`; `lost` is set, with `why`, when that is no longer possible.

    `renewed` is called with each lease before it counts, the first one included.
    """

    def __init__(
        self, queue: QueueClient, clock: Clock, run: RunKey, lease: Lease, renewed: Callable[[Lease], None]
    ) -> None:
        self._queue = queue
        self._clock = clock
        self._renewed = renewed
        self._run = run
        self.lost = asyncio.Event()
        self.why = ""
        self._now = asyncio.Event()
        self._renewing = asyncio.Lock()
        self._take(lease)

    @property
    def credentials(self) -> Credentials:
        """Return the newest credentials of the run."""
        return self._lease.credentials

    def check_now(self) -> None:
        """Renew at once: something suggests that the run is no longer ours."""
        self._now.set()

    async def still_held(self) -> bool:
        """Renew at once and return whether the claim is still ours, as far as the control plane answers."""
        await self._renew()
        return not self.lost.is_set()

    async def keep(self) -> None:
        """Renew until cancelled, or until the claim is lost."""
        failures = 0
        while not self.lost.is_set():
            pause = (
                self._length * RENEW_AT - self._elapsed()
                if not failures
                else RETRY_S[min(failures, len(RETRY_S)) - 1]
            )
            if failures or pause > 0:
                await self._wait(min(pause, self._left(), LOOK_EVERY_S))
            if self._left() <= 0:
                self._lose("the claim could not be renewed in time")
            elif self._now.is_set() or failures or self._elapsed() >= self._length * RENEW_AT:
                self._now.clear()
                failures = 0 if await self._renew() else failures + 1

    async def _renew(self) -> bool:
        """Try once. True: renewed, or lost for good."""
        async with self._renewing:
            return self.lost.is_set() or await self._ask()

    async def _ask(self) -> bool:
        try:
            async with asyncio.timeout(self._left()):
                lease = await self._queue.reclaim(self._run, self.credentials)
        except (QueueUnavailableError, TimeoutError) as error:
            _log.warning("a claim could not be renewed yet", run=str(self._run), error=str(error))
            return False
        except LiftlockError as error:
            self._lose(f"the control plane refused to renew the claim ({error.code}): {error.message}")
            return True
        self._take(lease)
        return True

    def _take(self, lease: Lease) -> None:
        self._renewed(lease)
        self._lease = lease
        self._length = max(0.0, lease.remaining / timedelta(seconds=1))
        self._from = self._moment()

    def _moment(self) -> tuple[float, float]:
        return asyncio.get_running_loop().time(), self._clock.now().timestamp()

    def _elapsed(self) -> float:
        """Return seconds since the lease was counted, by the clock that went further."""
        return max(now - then for now, then in zip(self._moment(), self._from, strict=True))

    def _left(self) -> float:
        return self._length - min(MAX_MARGIN_S, self._length / 10) - self._elapsed()

    def _lose(self, why: str) -> None:
        self.why = why
        self.lost.set()

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._now.wait()
        except TimeoutError:
            pass
