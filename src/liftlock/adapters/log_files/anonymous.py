"""Logs in files without a name: an index entry for each 64 KiB finds any line of a 100 MB log with one read."""

from __future__ import annotations

import os
import tempfile
import weakref
from array import array
from bisect import bisect_right
from pathlib import Path
from typing import Final

from liftlock.domain.tasks.log_lines import HINTS, MARK, is_error
from liftlock.ports.log_files import Found

STEP_BYTES: Final = 64 * 1024
MAX_LINE_BYTES: Final = 16 * 1024
"""Of longer lines so many bytes are given out."""
MAX_NOTES: Final = 400
_SEARCH_BYTES: Final = 1024 * 1024


class AnonymousLogFiles:
    """Implements `ports.log_files.LogFiles` in `directory`, which is made if absent."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def new(self) -> AnonymousLogFile:
        """Return an empty log."""
        self._directory.mkdir(mode=0o700, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=self._directory)
        os.unlink(name)
        return AnonymousLogFile(descriptor)


class AnonymousLogFile:
    """Implements `ports.log_files.LogFile`."""

    def __init__(self, descriptor: int) -> None:
        self._fd = descriptor
        weakref.finalize(self, os.close, descriptor)
        self._numbers, self._offsets = array("Q", [0]), array("Q", [0])
        self._ends = 0
        self._open_line = False
        self._unscanned = b""
        self._scanned_lines = 0
        self._notes: list[tuple[int, bytes]] = []
        self.size = 0
        self.first_error: int | None = None

    @property
    def lines(self) -> int:
        """Lines so far, an unfinished one among them."""
        return self._ends + self._open_line

    @property
    def notes(self) -> tuple[tuple[int, bytes], ...]:
        """The worker's own lines."""
        return tuple(self._notes)

    def append(self, data: bytes) -> None:
        """Add bytes at the end."""
        for start in range(0, len(data), STEP_BYTES):
            self._append(data[start : start + STEP_BYTES])

    def _append(self, piece: bytes) -> None:
        view, at = memoryview(piece), self.size
        while view:
            written = os.pwrite(self._fd, view, at)
            view, at = view[written:], at + written
        first = piece.find(b"\n")
        if first >= 0 and self.size + first + 1 - self._offsets[-1] >= STEP_BYTES:
            self._numbers.append(self._ends + 1)
            self._offsets.append(self.size + first + 1)
        self._scan(piece)
        self._ends += piece.count(b"\n")
        self._open_line = not piece.endswith(b"\n")
        self.size = at

    def _scan(self, piece: bytes) -> None:
        """Look for errors and the worker's lines in the lines that `piece` ends."""
        end = piece.rfind(b"\n") + 1
        if not end:
            self._unscanned = (self._unscanned + piece)[:MAX_LINE_BYTES]
            return
        text = self._unscanned + piece[:end]
        self._unscanned = piece[end:][:MAX_LINE_BYTES]
        self._scan_notes(text)
        if self.first_error is None:
            self._scan_error(text)
        self._scanned_lines += text.count(b"\n")

    def _scan_notes(self, text: bytes) -> None:
        at = text.find(MARK)
        while at >= 0 and len(self._notes) < MAX_NOTES:
            if at == 0 or text[at - 1] == 10:
                line = text[at : text.find(b"\n", at)][:MAX_LINE_BYTES]
                self._notes.append((self._scanned_lines + text.count(b"\n", 0, at), line))
            at = text.find(MARK, at + 1)

    def _scan_error(self, text: bytes) -> None:
        lower = text.lower()
        nearest = {hint: lower.find(hint) for hint in HINTS}
        while found := [at for at in nearest.values() if at >= 0]:
            at = min(found)
            begin, end = text.rfind(b"\n", 0, at) + 1, text.find(b"\n", at)
            line = text[begin:end]
            if not line.startswith(MARK) and is_error(line):
                self.first_error = self._scanned_lines + text.count(b"\n", 0, begin)
                return
            nearest = {
                hint: where if where < 0 or where > end else lower.find(hint, end)
                for hint, where in nearest.items()
            }

    def read(self, start: int, count: int) -> list[bytes]:
        """Return lines without their ends."""
        if count <= 0 or start >= self.lines:
            return []
        place = bisect_right(self._numbers, start) - 1
        number, at, size = int(self._numbers[place]), int(self._offsets[place]), self.size
        found: list[bytes] = []
        held = b""
        while len(found) < count and at < size:
            piece = os.pread(self._fd, min(STEP_BYTES, size - at), at)
            at += len(piece)
            *whole, rest = piece.split(b"\n")
            for line in whole:
                if number >= start and len(found) < count:
                    found.append((held + line)[:MAX_LINE_BYTES])
                held = b""
                number += 1
            held = (held + rest)[:MAX_LINE_BYTES]
        if held and len(found) < count and number >= start:
            found.append(held)
        return found

    def search(self, text: bytes, start: int, limit: int) -> Found:
        """Return the lines that hold `text`."""
        needle = text.lower()
        if not needle or b"\n" in needle or start >= self.lines:
            return Found((), more=False)
        place = bisect_right(self._numbers, start) - 1
        number, at, size = int(self._numbers[place]), int(self._offsets[place]), self.size
        found: list[int] = []
        held = b""
        while at < size:
            piece = os.pread(self._fd, min(_SEARCH_BYTES, size - at), at)
            at += len(piece)
            whole = held + piece
            end = whole.rfind(b"\n") + 1 if at < size else len(whole)
            number, held = self._matches(whole[:end].lower(), needle, number, start, found), whole[end:]
            if len(held) > _SEARCH_BYTES:
                held = held[-len(needle) :]
            if len(found) > limit:
                break
        return Found(tuple(found[:limit]), more=len(found) > limit)

    @staticmethod
    def _matches(lower: bytes, needle: bytes, number: int, start: int, found: list[int]) -> int:
        """Add the lines of `lower`, which begins with line `number`, that hold `needle`; return the number after it."""
        at, counted = lower.find(needle), 0
        while at >= 0:
            number += lower.count(b"\n", counted, at)
            counted = at
            if number >= start:
                found.append(number)
            end = lower.find(b"\n", at)
            at = lower.find(needle, end) if end >= 0 else -1
        return number + lower.count(b"\n", counted)
