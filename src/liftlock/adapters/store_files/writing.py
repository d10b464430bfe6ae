"""Writing a file while it is measured: what arrives, what is hashed and what is written overlap.

Chunks are gathered into batches. A batch is hashed and written by two threads while the next one arrives.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from liftlock.adapters.store_files.measuring import Measuring

BATCH_BYTES = 4 << 20


class Writing:
    """One new file at `path`, read-only in the end. Used as `async with`; a small one is written without threads."""

    def __init__(self, path: Path, measuring: Measuring) -> None:
        self._measuring = measuring
        self._chunks: list[bytes] = []
        self._waiting = 0
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
        os.fchmod(self._fd, 0o444)

    async def close(self) -> None:
        """Close the file, whatever happened."""
        if self._at_work is not None:
            await asyncio.gather(self._at_work, return_exceptions=True)
        os.close(self._fd)

    async def _begin(self) -> None:
        await self._wait()
        chunks, self._chunks, self._waiting = self._chunks, [], 0
        hashing = asyncio.to_thread(self._hash_all, chunks)
        writing = asyncio.to_thread(_write_all, self._fd, chunks)
        self._at_work = asyncio.gather(hashing, writing)

    async def _wait(self) -> None:
        if self._at_work is not None:
            await self._at_work
            self._at_work = None

    def _hash_all(self, chunks: list[bytes]) -> None:
        for chunk in chunks:
            self._measuring.hash(chunk)


def _write_all(descriptor: int, chunks: list[bytes]) -> None:
    for chunk in chunks:
        _write(descriptor, chunk)


def _write(descriptor: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(descriptor, view) :]
