"""Logs for pages: by line, searched, and followed, whether the task still runs or its log is an artifact already.

A stored log is unpacked once, in the background, into a file with an index; a running one is copied as it grows. Each
request is decided with its own caller, whoever opened the log before.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog

from liftlock.domain.tasks.artifacts import Content
from liftlock.errors import LiftlockError, NotFoundError
from liftlock.ports.artifact_store import ArtifactStore
from liftlock.ports.blobs import Blobs
from liftlock.ports.log_files import LogFile, LogFiles
from liftlock.ports.wakeups import Wakeups
from liftlock.services.artifact_reads import ArtifactReads
from liftlock.services.authorize import Caller

SHOWN_LOG: Final = "public/logs/live.log"
LIVE_LOG: Final = "public/logs/live_backing.log"
MAX_BYTES: Final = 1024 * 1024 * 1024
"""Of a longer log, the first so many bytes are shown."""
MAX_KEPT: Final = 24
FIRST_WAIT_S: Final = 0.4
"""So long an answer waits for the first lines, or for the whole of a short log."""
FOLLOW_EVERY_S: Final = 5.0
_PIECE: Final = 4 * 1024 * 1024
_log = structlog.get_logger(__name__)


@dataclass(eq=False, slots=True)
class OpenLog:
    """A log in a file. `whole`: no more will come; `name` is the artifact's, None while the task runs."""

    file: LogFile
    name: str | None
    whole: bool = False
    grown: asyncio.Event = field(default_factory=asyncio.Event)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    filling: asyncio.Task[None] | None = None


class LogViews:
    """Opens logs, and keeps the latest."""

    def __init__(
        self, reads: ArtifactReads, artifacts: ArtifactStore, blobs: Blobs, files: LogFiles, wakeups: Wakeups
    ) -> None:
        self._reads = reads
        self._artifacts = artifacts
        self._blobs = blobs
        self._files = files
        self._wakeups = wakeups
        self._stored: OrderedDict[str, OpenLog] = OrderedDict()
        self._live: OrderedDict[tuple[str, int], OpenLog] = OrderedDict()

    async def open(self, caller: Caller, task_id: str, run_id: int, now: datetime) -> OpenLog:
        """Return the run's log with what there is of it.

        Raises:
            RefusedError: the caller may not read it.
            NotFoundError: there is none (yet).
        """
        try:
            _, found = await self._reads.find(caller, task_id, run_id, SHOWN_LOG, now)
        except NotFoundError:
            return await self._open_live(caller, task_id, run_id)
        if found.content is None:
            return await self._open_live(caller, task_id, run_id)
        return await self._open_stored(found.content, found.name)

    async def _open_stored(self, content: Content, name: str) -> OpenLog:
        opened = self._stored.get(content.blob)
        if opened is None:
            opened = self._stored[content.blob] = OpenLog(self._files.new(), name)
            opened.filling = asyncio.create_task(self._fill(opened, content))
            if len(self._stored) > MAX_KEPT:
                _, dropped = self._stored.popitem(last=False)
                if dropped.filling is not None:
                    dropped.filling.cancel()
        self._stored.move_to_end(content.blob)
        if not opened.whole and opened.filling is not None:
            await asyncio.wait([opened.filling], timeout=FIRST_WAIT_S)
        return opened

    async def _fill(self, opened: OpenLog, content: Content) -> None:
        unpack = _Unpack(opened.file, gzip=content.encoding == "gzip")
        try:
            async for chunk in self._blobs.read(content.blob):
                await asyncio.to_thread(unpack.feed, chunk)
                if opened.file.size >= MAX_BYTES:
                    break
            opened.whole = True
        except LiftlockError as error:
            _log.error("a log can't be shown whole", code=error.code, error=error.message)
            opened.whole = True
        except zlib.error as error:
            _log.error("a log can't be unpacked", error=str(error))
            opened.whole = True

    async def _open_live(self, caller: Caller, task_id: str, run_id: int) -> OpenLog:
        first = await self._reads.log(caller, task_id, run_id, LIVE_LOG, 0)
        key = (task_id, run_id)
        opened = self._live.get(key)
        if opened is None:
            opened = self._live[key] = OpenLog(self._files.new(), None, whole=first.ended and not first.data)
            if len(self._live) > MAX_KEPT:
                self._live.popitem(last=False)
        self._live.move_to_end(key)
        await self._catch_up(opened, key)
        return opened

    async def _catch_up(self, opened: OpenLog, key: tuple[str, int]) -> None:
        async with opened.lock:
            while not opened.whole:
                part = await self._artifacts.read_log(*key, LIVE_LOG, opened.file.size)
                if part is None or (part.ended and not part.data):
                    opened.whole = True
                elif part.data:
                    await asyncio.to_thread(opened.file.append, part.data)
                else:
                    return

    async def follow(
        self, opened: OpenLog, task_id: str, run_id: int, lines: int
    ) -> AsyncIterator[int | None]:
        """Yield how many lines there are, whenever there are more than `lines`, until the log is whole; None: none yet."""
        with self._wakeups.listen(f"log:{task_id}/{run_id}") as ticket:
            size = -1
            while True:
                if opened.name is None:
                    await self._catch_up(opened, (task_id, run_id))
                if opened.file.size != size and (opened.file.lines > lines or size >= 0):
                    yield opened.file.lines
                size = opened.file.size
                if opened.whole:
                    return
                if not await ticket.wait(FOLLOW_EVERY_S if opened.name is None else 0.2):
                    yield None


class _Unpack:
    """Puts stored bytes into a log, unpacked piece by piece."""

    def __init__(self, file: LogFile, *, gzip: bool) -> None:
        self._file = file
        self._gzip = gzip
        self._packed = zlib.decompressobj(31) if gzip else None

    def feed(self, chunk: bytes) -> None:
        """Take stored bytes; raises zlib.error."""
        if self._packed is None:
            self._file.append(chunk)
            return
        while chunk and self._file.size < MAX_BYTES:
            self._file.append(self._packed.decompress(chunk, _PIECE))
            chunk = self._packed.unconsumed_tail
            if self._packed.eof:
                chunk = self._packed.unused_data or chunk
                self._packed = zlib.decompressobj(31)
