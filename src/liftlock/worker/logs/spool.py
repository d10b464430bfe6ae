"""The log on the worker's disk while the run lasts: cleaned, bounded, read by the live sender, compressed at the end."""

from __future__ import annotations

import gzip
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

_COPY_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Packed:
    """The compressed log: what it measures uncompressed, and its file."""

    path: Path
    size: int
    sha256: str
    packed_size: int


class Spool:
    """A file that only grows, up to `max_bytes`; what comes after is dropped."""

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        self.path = path
        self.size = 0
        self.dropped = 0
        self._max = max_bytes
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)

    @property
    def full(self) -> bool:
        """Tell whether bytes were dropped."""
        return self.dropped > 0

    def write(self, text: str, *, beyond: bool = False) -> None:
        """Append; what exceeds the limit is counted and dropped, unless `beyond` (the worker's own few lines)."""
        data = text.encode("utf-8", "replace")
        if not beyond:
            room = max(0, self._max - self.size)
            self.dropped += max(0, len(data) - room)
            data = _cut(data, room)
        done = 0
        while done < len(data):
            done += os.pwrite(self._fd, memoryview(data)[done:], self.size + done)
        self.size += len(data)

    def read(self, offset: int, most: int) -> bytes:
        """Return up to `most` bytes from `offset`."""
        return os.pread(self._fd, min(most, self.size - offset), offset) if offset < self.size else b""

    def pack(self) -> Packed:
        """Compress into a file beside the spool; the same log gives the same bytes."""
        target = self.path.with_suffix(".gz")
        digest = hashlib.sha256()
        with (
            target.open("wb") as raw,
            gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as out,
        ):
            offset = 0
            while chunk := self.read(offset, _COPY_BYTES):
                digest.update(chunk)
                out.write(chunk)
                offset += len(chunk)
        return Packed(target, offset, digest.hexdigest(), target.stat().st_size)

    def close(self) -> None:
        """Close the file; it stays."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _cut(data: bytes, most: int) -> bytes:
    """Return the beginning of `data`, at most `most` bytes, ending neither in a character nor in a colour sequence."""
    if len(data) <= most:
        return data
    kept = data[:most].decode("utf-8", "ignore").encode()
    escape = kept.rfind(b"\x1b")
    return kept[:escape] if escape >= 0 and b"m" not in kept[escape:] else kept
