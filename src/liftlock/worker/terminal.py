"""The terminal of an interactive task: what it shows is sent as it comes and kept whole; what people type is written into it.

Source: docs/reference/loaners.md
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import fcntl
import os
import struct
import termios
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.tasks.interactive import TERMINAL
from liftlock.errors import LiftlockError
from liftlock.ports.queue_client import QueueClient, QueueUnavailableError, RunKey, Typed, Upload
from liftlock.worker.logs.descriptor import take_all
from liftlock.worker.logs.live import LiveLog
from liftlock.worker.logs.spool import Packed, Spool
from liftlock.worker.logs.task_log import TaskLog

IDLE_S: Final = 900.0
"""Seconds without a key after which the session ends."""
CONTENT_TYPE: Final = "text/plain; charset=utf-8"
ENV: Final = {"TERM": "xterm-256color"}
FIRST_SIZE: Final = (80, 24)
_RETRY_S: Final = 1.0
_FULL_S: Final = 0.01
_log = structlog.get_logger(__name__)


class Terminal:
    """One run's. `ended` tells why the session was ended from here, None if it was not."""

    def __init__(
        self,
        queue: QueueClient,
        run: RunKey,
        credentials: Callable[[], Credentials],
        directory: Path,
        *,
        max_bytes: int,
        idle_s: float = IDLE_S,
    ) -> None:
        self._queue = queue
        self._run = run
        self._credentials = credentials
        self._idle_s = idle_s
        self._spool = Spool(directory / "terminal", max_bytes=max_bytes)
        self._live = LiveLog(self._spool, self._append, lambda: None)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._seen: set[str] = set()
        self.ended: str | None = None

    async def _append(self, offset: int, data: bytes) -> int:
        return await self._queue.append_log(self._run, self._credentials(), TERMINAL, offset, data)

    async def follow(self, descriptor: int, log: TaskLog, end: Callable[[str], Awaitable[None]]) -> None:
        """Attend the terminal until its last process is gone, and close it; `end` ends the session, with the reason."""
        _resize(descriptor, FIRST_SIZE)
        attending = [
            asyncio.create_task(self._live.run()),
            asyncio.create_task(self._type(descriptor, log, end)),
        ]
        try:
            await take_all(descriptor, partial(self._show, log))
        finally:
            for task in attending:
                task.cancel()
            await asyncio.gather(*attending, return_exceptions=True)
            os.close(descriptor)
            log.end_stream()

    def _show(self, log: TaskLog, data: bytes) -> None:
        log.feed(data)
        self._spool.write(self._decoder.decode(data))
        self._live.grown()

    async def _type(self, descriptor: int, log: TaskLog, end: Callable[[str], Awaitable[None]]) -> None:
        """Write what people type, in order, until nobody typed for so long."""
        loop = asyncio.get_running_loop()
        after, last = 0, loop.time()
        while loop.time() - last < self._idle_s:
            for piece in await self._typed(after, self._idle_s - (loop.time() - last)):
                self._note(piece.actor, log)
                if piece.size is not None:
                    _resize(descriptor, piece.size)
                await _write(descriptor, piece.data)
                after, last = piece.seq, loop.time()
        self.ended = f"nobody typed for {self._idle_s:g} s"
        await end(self.ended)

    async def _typed(self, after: int, within_s: float) -> tuple[Typed, ...]:
        try:
            async with asyncio.timeout(max(0.01, within_s)):
                return await self._queue.shell_input(self._run, self._credentials(), after)
        except TimeoutError:
            return ()
        except QueueUnavailableError:
            await asyncio.sleep(_RETRY_S)
            return ()
        except LiftlockError as error:
            _log.info("what is typed can't be read", run=str(self._run), code=error.code)
            await asyncio.sleep(_RETRY_S)
            return ()

    def _note(self, actor: str, log: TaskLog) -> None:
        if actor not in self._seen:
            self._seen.add(actor)
            log.note(f"{actor} types")

    async def upload(self, expires: datetime) -> Packed:
        """Send everything that was shown as an artifact; return what it measures. Errors as `QueueClient.upload`."""
        packed = await asyncio.to_thread(self._spool.pack)
        self._spool.close()
        descriptor = os.open(packed.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            upload = Upload(TERMINAL, CONTENT_TYPE, expires, descriptor, packed.packed_size, gzip=True)
            await self._queue.upload(self._run, self._credentials(), upload)
        finally:
            os.close(descriptor)
        return packed


async def _write(descriptor: int, data: bytes) -> None:
    """Write all of it, waiting while the program does not read; nothing if it is gone."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            await asyncio.sleep(_FULL_S)
        except OSError:
            return


def _resize(descriptor: int, size: tuple[int, int]) -> None:
    columns, rows = size
    with contextlib.suppress(OSError):
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
