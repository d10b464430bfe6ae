"""Writing a file while it is measured: what arrives, what is hashed, what is written, and what goes to the disk overlap.

Chunks are gathered into batches. A batch is hashed and written by two threads while the next one arrives, and the
kernel is told to begin with its way to the disk, so that the last sync has little left to wait for.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from pathlib import Path

from liftlock.adapters.store_files.measuring import Measuring

BATCH_BYTES = 4 << 20
_BEGIN_WRITING = 2  # SYNC_FILE_RANGE_WRITE
_sync_range = ctypes.CDLL(None).sync_file_range
_sync_range.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]


class Writing:
    """One new file at `path`, read-only in the end. Used as `async with`; a small one is written without threads."""

    def __init__(self, path: Path, measuring: Measuring) -> None:
        self._measuring = measuring
        self._chunks: list[bytes] = []
        self._waiting = 0
        self._written = 0
        self._at_work: asyncio.Future[tuple[None, None]] | None = None
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)

    async def take(self, chunk: bytes) -> None:
        """Take a chunk; InputRejectedError if there are too many bytes."""
        self._measuring.count(len(chunk))
        self._chunks.append(chunk)
        self._waiting += len(chunk)
        if self._waiting >= BATCH_BYTES:
            await self._begin()

    async def finish(self) -> None:
        """Return once all is hashed and written, and the file can't be written to any more; it may not be on the disk."""
        await self._wait()
        for chunk in self._chunks:
            self._measuring.hash(chunk)
            _write(self._fd, chunk)
        self._chunks = []

    async def sync(self) -> None:
        """Return once it is on the disk."""
        os.fchmod(self._fd, 0o444)
        await asyncio.to_thread(os.fsync, self._fd)

    async def close(self) -> None:
        """Close the file, whatever happened."""
        if self._at_work is not None:
            await asyncio.gather(self._at_work, return_exceptions=True)
        os.close(self._fd)

    async def _begin(self) -> None:
        await self._wait()
        chunks, start = self._chunks, self._written
        self._chunks, self._waiting, self._written = [], 0, start + self._waiting
        hashing = asyncio.to_thread(self._hash_all, chunks)
        writing = asyncio.to_thread(_write_all, self._fd, chunks, start)
        self._at_work = asyncio.gather(hashing, writing)

    async def _wait(self) -> None:
        if self._at_work is not None:
            await self._at_work
            self._at_work = None

    def _hash_all(self, chunks: list[bytes]) -> None:
        for chunk in chunks:
            self._measuring.hash(chunk)


def _write_all(descriptor: int, chunks: list[bytes], start: int) -> None:
    size = sum(len(chunk) for chunk in chunks)
    for chunk in chunks:
        _write(descriptor, chunk)
    _sync_range(descriptor, start, size, _BEGIN_WRITING)  # a wish: the sync in the end is what counts


def _write(descriptor: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(descriptor, view) :]
