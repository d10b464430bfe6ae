"""Blobs as local files: `sha256/<two digits>/<digest>`, read-only.

A blob is written to `tmp`, made durable and then linked to its name: a crash leaves at most a file in `tmp`, which
a later start removes. A lock keeps removal and re-use of the same bytes apart; it is held for microseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import re
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

from liftlock.adapters.blobs.measuring import Measure
from liftlock.domain.tasks.artifacts import Content, Encoding
from liftlock.errors import StorageError

CHUNK_BYTES = 256 * 1024
_MAX_VERIFIED = 4096
_DIGEST = re.compile(r"[0-9a-f]{64}\Z", re.ASCII)

_Stamp = tuple[int, int, int]


class LocalBlobs:
    """Implements `ports.blobs.Blobs` below one directory."""

    def __init__(self, root: Path) -> None:
        """Use `root`, made (mode 0700) if absent."""
        self._root = root
        self._tmp = root / "tmp"
        for directory in (root, root / "sha256", self._tmp):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock_path = root / "lock"
        self._verified: dict[str, _Stamp] = {}

    def remove_leftovers(self, *, before: datetime) -> None:
        """Remove what uploads that never finished left, if it was last written before `before`."""
        for leftover in self._tmp.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if datetime.fromtimestamp(leftover.stat().st_mtime, UTC) < before:
                    leftover.unlink()

    @contextlib.asynccontextmanager
    async def writer(self, encoding: Encoding, *, max_bytes: int) -> AsyncIterator[_Writer]:
        """Return a writer for one blob."""
        fd, name = await asyncio.to_thread(tempfile.mkstemp, dir=self._tmp)
        writer = _Writer(self, fd, Path(name), Measure(encoding, max_bytes))
        try:
            yield writer
        finally:
            await asyncio.to_thread(writer.discard)

    async def size(self, digest: str) -> int | None:
        """Return the blob's size in bytes, or None."""
        try:
            return os.stat(self._path(digest)).st_size
        except FileNotFoundError:
            return None

    async def read(self, digest: str, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """Yield the bytes of the range, the last of them only when the blob has verified."""
        try:
            fd = os.open(self._path(digest), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise StorageError(f"blob {digest} is not in the store") from error
        try:
            size = os.fstat(fd).st_size
            stop = size if stop is None else min(stop, size)
            if (start, stop) == (0, size):
                async for chunk in self._whole(fd, digest):
                    yield chunk
                return
            await self._verify(fd, digest)
            while start < stop:
                chunk = await asyncio.to_thread(os.pread, fd, min(CHUNK_BYTES, stop - start), start)
                if not chunk:
                    raise StorageError(f"blob {digest} became shorter while it was read")
                start += len(chunk)
                yield chunk
        finally:
            os.close(fd)

    async def remove(self, digest: str, *, unused_since: datetime) -> bool:
        """Remove the blob unless it was stored again after `unused_since`."""
        return await asyncio.to_thread(self._remove, digest, unused_since)

    def _remove(self, digest: str, unused_since: datetime) -> bool:
        path = self._path(digest)
        with self._locked():
            try:
                stored = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            except FileNotFoundError:
                return True
            if stored > unused_since:
                return False
            path.unlink()
            return True

    def _path(self, digest: str) -> Path:
        if _DIGEST.match(digest) is None:
            raise StorageError("blob: expected 64 hexadecimal digits")
        return self._root / "sha256" / digest[:2] / digest

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        fd = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def keep(self, temporary: Path, content: Content) -> None:
        """Give the durable file `temporary` its name, or note the use of the same bytes that are there already."""
        path = self._path(content.blob)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with self._locked():
            if path.exists() and path.stat().st_size == content.stored_bytes:
                os.utime(path)
                return
            os.rename(temporary, path)
        for directory in (path.parent, path.parent.parent):
            _sync_directory(directory)

    async def _whole(self, fd: int, digest: str) -> AsyncIterator[bytes]:
        measured, held = hashlib.sha256(), b""
        while chunk := await asyncio.to_thread(os.read, fd, CHUNK_BYTES):
            if held:
                yield held
            measured.update(chunk)
            held = chunk
        if measured.hexdigest() != digest:
            raise StorageError(f"blob {digest} is damaged: its bytes have another sha256")
        if held:
            yield held

    async def _verify(self, fd: int, digest: str) -> None:
        """Hash the whole blob, unless this very file was hashed before."""
        status = os.fstat(fd)
        stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
        if self._verified.get(digest) == stamp:
            return
        if await asyncio.to_thread(_digest_of, fd) != digest:
            raise StorageError(f"blob {digest} is damaged: its bytes have another sha256")
        if len(self._verified) >= _MAX_VERIFIED:
            self._verified.clear()
        self._verified[digest] = stamp


class _Writer:
    """One upload: bytes are gathered, then measured and written in a thread."""

    def __init__(self, blobs: LocalBlobs, fd: int, path: Path, measure: Measure) -> None:
        self._blobs = blobs
        self._fd: int | None = fd
        self._path = path
        self._measure = measure
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0

    async def write(self, chunk: bytes) -> None:
        """Take `chunk`."""
        self._waiting.append(chunk)
        self._waiting_bytes += len(chunk)
        if self._waiting_bytes >= CHUNK_BYTES:
            await asyncio.to_thread(self._flush)

    async def finish(self) -> Content:
        """Make the blob durable under its digest."""
        return await asyncio.to_thread(self._finish)

    def _flush(self) -> None:
        data = b"".join(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        self._measure.take(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._open_fd(), view) :]

    def _finish(self) -> Content:
        self._flush()
        content = self._measure.result()
        fd = self._open_fd()
        os.fchmod(fd, 0o400)
        os.fsync(fd)
        self._blobs.keep(self._path, content)
        return content

    def _open_fd(self) -> int:
        if self._fd is None:
            raise StorageError("the upload has ended")
        return self._fd

    def discard(self) -> None:
        """Close the temporary file and remove it if it still has its temporary name."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        self._path.unlink(missing_ok=True)


def _digest_of(fd: int) -> str:
    measured, at = hashlib.sha256(), 0
    while chunk := os.pread(fd, CHUNK_BYTES, at):
        measured.update(chunk)
        at += len(chunk)
    return measured.hexdigest()


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
