"""Sends a growing log to the control plane while the run lasts, soon after it grows, in order, at its own pace."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from liftlock.errors import ConflictError, LiftlockError
from liftlock.ports.queue_client import QueueUnavailableError
from liftlock.worker.logs.spool import Spool

GATHER_S = 0.05
"""After the log grew, so long more is waited for: many short writes become one request."""
MOST_BYTES = 512 * 1024
"""Of one request."""
RETRY_S = (0.5, 1.0, 2.0, 5.0)
_log = structlog.get_logger(__name__)


class LiveLog:
    """Sends what a spool holds by `append(offset, data) -> size`; `refused` is called if the run is no longer ours."""

    def __init__(
        self, spool: Spool, append: Callable[[int, bytes], Awaitable[int]], refused: Callable[[], None]
    ) -> None:
        self._spool = spool
        self._append = append
        self._refused = refused
        self._grown = asyncio.Event()

    def grown(self) -> None:
        """Say that the log has grown."""
        self._grown.set()

    async def run(self) -> None:
        """Send until cancelled, or until the control plane takes no more."""
        sent = failures = 0
        while True:
            if sent >= self._spool.size:
                self._grown.clear()
                await self._grown.wait()
                await asyncio.sleep(GATHER_S)
            try:
                sent = await self._append(sent, self._spool.read(sent, MOST_BYTES))
                failures = 0
            except QueueUnavailableError:
                await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
                failures += 1
            except ConflictError:
                self._refused()
                return
            except LiftlockError as error:
                _log.info("the live log ends early; the whole log is uploaded in the end", code=error.code)
                return
