"""Lines of logs as a browser is shown them: colours become classes, everything else is text; what a line tells.

A log is hostile: it is escaped here again whatever the worker did before, and nothing but our own `span` elements with
class names from a fixed list comes out. Colours end with their line.
"""

from __future__ import annotations

import html
import re
from datetime import datetime
from typing import Final, NamedTuple

from liftlock.errors import InputInvalidError
from liftlock.values.instants import parse_instant

MAX_SHOWN: Final = 4_000
"""Characters of one line that are shown."""
MARK: Final = b"[liftlock "
"""How lines of the worker's own begin; a task can't write one."""
MASK: Final = "[hidden]"
"""What workers put in the place of a secret; it is marked, so that nobody takes it for what the program wrote."""
HINTS: Final = (b"error", b"fatal", b"traceback (most", b"failed", b"panicked at", b"exception:")
"""A line that is an error has one of these, in lower case."""

_SEQUENCE: Final = re.compile(
    r"\x1b\[([0-9;]{0,32})m"
    r"|\x1b\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)?"
    r"|\x1b\[[0-?]{0,64}[ -/]{0,8}[@-~]"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]"
)
_COLOURS: Final = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_ERROR: Final = re.compile(
    r"\b(?:error|fatal)\b(?!s?[ =:]*0\b)|traceback \(most recent|\bfailed\b|\bpanicked at\b|\b\w*exception:",
    re.IGNORECASE,
)
_NO_ERROR: Final = re.compile(
    r"\b(?:0|no|without) (?:errors?|failed|failures?)\b|--?\w*error|errors?: 0\b", re.IGNORECASE
)
_NOTE: Final = re.compile(r"\[liftlock (\S{20,30})\] (.*)", re.DOTALL)


class Note(NamedTuple):
    """A line of the worker's own: when, and what."""

    at: datetime
    text: str


def html_of(line: bytes) -> str:
    """Return the line, without its end, as harmless HTML with colours as `<span class="a-…">`."""
    text = line[: 4 * MAX_SHOWN].decode("utf-8", "replace")
    cut = len(text) > MAX_SHOWN
    parts: list[str] = []
    classes: tuple[str, ...] = ()
    at = 0
    for match in _SEQUENCE.finditer(text[:MAX_SHOWN]):
        _piece(parts, text[at : match.start()], classes)
        at = match.end()
        if match[1] is not None:
            classes = _after(classes, match[1])
        elif len(match[0]) == 1 and match[0] != "\r":
            _piece(parts, "\ufffd", classes)
    _piece(parts, text[at:MAX_SHOWN], classes)
    if cut:
        parts.append('<span class="a-cut">… the line goes on; see the raw log</span>')
    return "".join(parts)


def _piece(parts: list[str], text: str, classes: tuple[str, ...]) -> None:
    if text:
        escaped = html.escape(text).replace(MASK, f'<span class="a-hidden">{MASK}</span>')
        parts.append(f'<span class="{" ".join(classes)}">{escaped}</span>' if classes else escaped)


def _after(classes: tuple[str, ...], said: str) -> tuple[str, ...]:
    """Return the classes after the codes of one SGR sequence; those of 256 and more colours are passed over."""
    found = dict.fromkeys(classes)
    codes = [int(code) if code and len(code) < 4 else 0 for code in said.split(";")]
    while codes:
        code = codes.pop(0)
        if code in (38, 48):
            del codes[: {5: 2, 2: 4}.get(codes[0] if codes else 0, 0)]
        elif code == 0:
            found.clear()
        elif (style := {1: "a-bold", 2: "a-dim", 3: "a-italic", 4: "a-line"}.get(code)) is not None:
            found[style] = None
        elif code == 22:
            found.pop("a-bold", None)
            found.pop("a-dim", None)
        elif code in (23, 24):
            found.pop("a-italic" if code == 23 else "a-line", None)
        elif 30 <= code <= 37 or 90 <= code <= 97 or code == 39:
            _replace(found, "a-fg-", None if code == 39 else _COLOURS[code % 10])
        elif 40 <= code <= 47 or 100 <= code <= 107 or code == 49:
            _replace(found, "a-bg-", None if code == 49 else _COLOURS[code % 10])
    return tuple(found)


def _replace(found: dict[str, None], prefix: str, colour: str | None) -> None:
    for name in [name for name in found if name.startswith(prefix)]:
        del found[name]
    if colour is not None:
        found[prefix + colour] = None


def is_error(line: bytes) -> bool:
    """Tell whether somebody who looks for what went wrong wants to see this line first."""
    text = line[:MAX_SHOWN].decode("utf-8", "replace")
    return _ERROR.search(text) is not None and _NO_ERROR.search(text) is None


def note_of(line: bytes) -> Note | None:
    """Return what the worker says in this line, or None if it is the task's."""
    match = _NOTE.match(line[:MAX_SHOWN].decode("utf-8", "replace").rstrip("\n"))
    if match is None:
        return None
    try:
        return Note(parse_instant(match[1]), match[2])
    except InputInvalidError:
        return None
