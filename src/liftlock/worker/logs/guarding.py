"""Lines of the worker's own in a log can't be imitated: a task's line that begins like one gets a backslash before it.

Colours and blanks at the start of a line don't count as text, nor colours between the letters.
"""

from __future__ import annotations

import re

MARK = "[liftlock"
"""How every line of the worker's own begins; followed by a blank, the time and `]`."""
_MARKS = (MARK, "[taskcluster")
_SGR = r"(?:\x1b\[[0-9;]{0,32}m)"
_LEAD = rf"(?:{_SGR}|[ \t\u00a0])*"


def _spelled(mark: str) -> str:
    return rf"{_SGR}*".join(re.escape(char) for char in mark)


_FORGED = re.compile(rf"(?m)^({_LEAD})(?={'|'.join(_spelled(mark) for mark in _MARKS)})", re.IGNORECASE)
_LEADING = re.compile(_LEAD)
_COLOUR = re.compile(_SGR)
_MAX_HELD = 1024


class Guard:
    """Guards a cleaned stream in chunks, in constant memory."""

    def __init__(self) -> None:
        self._at_start = True
        self._held = ""

    @property
    def holds(self) -> bool:
        """Tell whether text is held back."""
        return bool(self._held)

    def feed(self, text: str) -> str:
        """Return what is certain after `text`; the start of a line that may become a forged one is held back."""
        text = self._held + text
        self._held = ""
        if not text:
            return ""
        out = "" if self._at_start else text[: text.find("\n") + 1] or text
        rest = text[len(out) :]
        if not rest:
            self._at_start = out.endswith("\n")
            return out
        guarded = _FORGED.sub(r"\1\\", rest)
        head, newline, tail = guarded.rpartition("\n")
        return out + head + newline + self._tail(tail)

    def finish(self) -> str:
        """Return the rest: the stream has ended."""
        rest, self._held, self._at_start = self._held, "", True
        return rest

    def _tail(self, tail: str) -> str:
        """Return what of an unfinished line may be shown."""
        lead = _LEADING.match(tail)
        begin = lead.end() if lead else 0
        text = tail[begin:]
        bare = _COLOUR.sub("", text).lower()
        self._at_start = not bare
        if not bare or not any(mark.startswith(bare) for mark in _MARKS):
            return tail
        if len(text) > _MAX_HELD:
            return f"{tail[:begin]}\\{text}"
        self._at_start, self._held = True, text
        return tail[:begin]
