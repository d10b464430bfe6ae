"""The log of one run from its first line to its artifact: spooled on disk, shown live, uploaded in the end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import structlog

from liftlock.domain.credentials.certificates import Credentials
from liftlock.errors import LiftlockError
from liftlock.ports.clock import Clock
from liftlock.ports.queue_client import QueueClient, RunKey, Upload
from liftlock.worker.logs.live import LiveLog
from liftlock.worker.logs.spool import Packed, Spool
from liftlock.worker.logs.task_log import TaskLog
from liftlock.worker.payload import BACKING_LOG, LIVE_LOG

LOG_TYPE = "text/plain; charset=utf-8"
LOG_FILE = "log"
_log = structlog.get_logger(__name__)


class RunLog:
    """Opens the log in `directory`; `refused` is called if the control plane says that the run is no longer ours."""

    def __init__(
        self,
        *,
        queue: QueueClient,
        run: RunKey,
        credentials: Callable[[], Credentials],
        clock: Clock,
        directory: Path,
        max_bytes: int,
        secrets: tuple[str, ...],
        expires: datetime,
        refused: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._run = run
        self._credentials = credentials
        self._expires = expires
        self._spool = Spool(directory / LOG_FILE, max_bytes=max_bytes)
        live = LiveLog(self._spool, self._append, refused)
        self.lines = TaskLog(self._spool, clock, secrets=secrets, grown=live.grown)
        self._linked = False
        self._sending = asyncio.create_task(self._show(live))

    async def _show(self, live: LiveLog) -> None:
        try:
            await self._link()
        except LiftlockError as error:
            _log.info("the live log's link comes later", run=str(self._run), code=error.code)
        await live.run()

    async def _append(self, offset: int, data: bytes) -> int:
        return await self._queue.append_log(self._run, self._credentials(), BACKING_LOG, offset, data)

    async def _link(self) -> None:
        await self._queue.link(self._run, self._credentials(), LIVE_LOG, BACKING_LOG, LOG_TYPE, self._expires)
        self._linked = True

    async def upload(self) -> Packed:
        """Send the whole log as an artifact; return what it measures.

        Raises:
            ConflictError, QueueUnavailableError, …: as `QueueClient.upload`.
        """
        await self._stop_showing()
        packed = await asyncio.to_thread(self._spool.pack)
        descriptor = os.open(packed.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            upload = Upload(BACKING_LOG, LOG_TYPE, self._expires, descriptor, packed.packed_size, gzip=True)
            await self._queue.upload(self._run, self._credentials(), upload)
        finally:
            os.close(descriptor)
        if not self._linked:
            await self._link()
        return packed

    async def close(self) -> None:
        """Stop showing it and close its file."""
        await self._stop_showing()
        self._spool.close()

    async def _stop_showing(self) -> None:
        self._sending.cancel()
        await asyncio.gather(self._sending, return_exceptions=True)
