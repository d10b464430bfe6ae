"""One run's log: the task's output as it comes, and lines of the worker's own between."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from liftlock.ports.clock import Clock
from liftlock.values.instants import format_instant
from liftlock.worker.logs.cleaning import Cleaner, clean_text
from liftlock.worker.logs.descriptor import take_all
from liftlock.worker.logs.guarding import MARK, Guard
from liftlock.worker.logs.masking import Mask
from liftlock.worker.logs.spool import Spool

_MAX_NOTE_CHARS = 4000


class TaskLog:
    """Writes to a spool; `grown` is called after each append, so that it can be shown live."""

    def __init__(
        self, spool: Spool, clock: Clock, *, secrets: Iterable[str], grown: Callable[[], None] = lambda: None
    ) -> None:
        self._spool = spool
        self._clock = clock
        self._grown = grown
        self._cleaner, self._guard, self._mask = Cleaner(), Guard(), Mask(secrets)
        self._notes: list[str] = []
        self._streaming = False
        self._at_line_start = True
        self._coloured = False

    def hide(self, secrets: Iterable[str]) -> None:
        """Mask these values from now on."""
        self._mask.add(secrets)

    def masked(self, text: str) -> str:
        """Return `text` as the log would show it, for what else leaves the worker."""
        return self._mask.whole(clean_text(text))

    def note(self, text: str) -> None:
        """Write a line of the worker's own; while a command writes, as soon as a line of it has ended."""
        said = self._mask.whole(clean_text(text[:_MAX_NOTE_CHARS]).replace("\n", "\\n"))
        self._notes.append(f"{MARK} {format_instant(self._clock.now())}] {said}\n")
        self._emit_notes()

    def feed(self, data: bytes) -> None:
        """Take output of the task."""
        self._streaming = True
        if not self._spool.full:
            self._append(self._mask.feed(self._guard.feed(self._cleaner.feed(data))))
        self._emit_notes()

    def end_stream(self) -> None:
        """Say that the command has ended: what was held back is written, on a line of its own."""
        rest = self._guard.feed(self._cleaner.finish()) + self._guard.finish()
        text = self._mask.feed(rest) + self._mask.finish()
        if not self._spool.full:
            self._append(text)
        if not self._at_line_start:
            self._append("\n")
        self._streaming = False
        self._emit_notes()

    async def follow(self, descriptor: int) -> None:
        """Take all that a non-blocking pipe gives until its other end is closed, and close it."""
        try:
            await take_all(descriptor, self.feed)
        finally:
            os.close(descriptor)
            self.end_stream()

    def _append(self, text: str, *, beyond: bool = False) -> None:
        if not text:
            return
        was_full = self._spool.full
        self._coloured = self._coloured or "\x1b" in text
        self._spool.write(text, beyond=beyond)
        self._at_line_start = text.endswith("\n")
        if self._spool.full and not was_full:
            self._spool.write("\n", beyond=True)
            self._at_line_start = True
            self.note(
                f"the log is full at {self._spool.size} bytes: what the task writes from here on is dropped"
            )
        self._grown()

    def _emit_notes(self) -> None:
        if (
            self._streaming
            and not self._spool.full
            and (not self._at_line_start or self._guard.holds or self._mask.holds)
        ):
            return
        notes, self._notes = self._notes, []
        for line in notes:
            reset, self._coloured = "\x1b[0m" if self._coloured else "", False
            self._append(f"{'' if self._at_line_start else chr(10)}{reset}{line}", beyond=True)
            self._coloured = False
