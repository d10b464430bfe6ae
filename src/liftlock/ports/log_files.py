"""Logs that can be read by line, searched, and that grow."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Found(msgspec.Struct, frozen=True):
    """Lines with a text, numbers from 0 in ascending order; `more`: there are others after the last."""

    lines: tuple[int, ...]
    more: bool


class LogFile(Protocol):
    """One log. Line numbers are from 0. `append` is called from one thread at a time; reads may come meanwhile."""

    @property
    def size(self) -> int:
        """Bytes so far."""
        ...

    @property
    def lines(self) -> int:
        """Lines so far; the last one may be unfinished."""
        ...

    @property
    def first_error(self) -> int | None:
        """The first line that looks like an error, or None."""
        ...

    @property
    def notes(self) -> tuple[tuple[int, bytes], ...]:
        """The worker's own lines, at most some hundreds: (line number, line)."""
        ...

    def append(self, data: bytes) -> None:
        """Add bytes at the end; blocks on the disk."""
        ...

    def read(self, start: int, count: int) -> list[bytes]:
        """Return up to `count` lines from `start` on, without line ends, of each at most its first bytes; blocks."""
        ...

    def search(self, text: bytes, start: int, limit: int) -> Found:
        """Return up to `limit` lines from `start` on that hold `text`, ASCII letters in either case; blocks."""
        ...


class LogFiles(Protocol):
    """Makes logs."""

    def new(self) -> LogFile:
        """Return an empty log; it is gone when nobody refers to it any more, or with the process."""
        ...
