"""What a terminal or a browser may be shown of a task's output: text, line ends, tabs and colours.

Escape sequences other than colours (SGR) are dropped; other control characters, C1 and those that reorder text are
replaced; bytes that are no UTF-8 are replaced, also when a character is cut by the end of a chunk.

Source: ECMA-48; docs/reference/worker.md#log
"""

from __future__ import annotations

import codecs
import re

_HELD_CHARS = 4200
"""No sequence is longer: what follows an escape character without ending within that is text."""
_SEQUENCE = re.compile(
    r"(\x1b\[[0-9;]{0,32}m)"
    r"|\x1b\][^\x07\x1b\n\r]{0,4096}(?:\x07|\x1b\\)"
    r"|\x1b[PX^_][^\x1b\n\r]{0,4096}\x1b\\"
    r"|\x1b\[[0-?]{0,64}[ -/]{0,8}[@-~]"
    r"|\x1b[ -/]{0,8}[0-~]"
    r"|\r\n?"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)
_UNFINISHED = re.compile(
    r"\x1b(?:\][^\x07\x1b\n\r]{0,4096}\x1b?|[PX^_][^\x1b\n\r]{0,4096}\x1b?|\[[0-?]{0,64}[ -/]{0,8}|[ -/]{0,8})\Z"
)
_DIRTY = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def _replace(match: re.Match[str]) -> str:
    found = match[0]
    if match[1]:
        return found
    if found[0] == "\r":
        return "\n"
    return "" if len(found) > 1 else "\ufffd"


def clean_text(text: str) -> str:
    """Return a whole text cleaned."""
    return _SEQUENCE.sub(_replace, text) if _DIRTY.search(text) else text


class Cleaner:
    """Cleans a stream in chunks, in constant memory."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._after_return = False

    def feed(self, data: bytes) -> str:
        """Return what is certain after `data`; an unfinished sequence is held back."""
        return self._clean(self._decoder.decode(data))

    def finish(self) -> str:
        """Return the rest: the stream has ended. The cleaner may be used for another stream."""
        rest = clean_text(self._clean(self._decoder.decode(b"", final=True)) + self._held)
        self._decoder.reset()
        self._held, self._after_return = "", False
        return rest

    def _clean(self, text: str) -> str:
        text = self._held + text
        self._held = ""
        if self._after_return and text:
            text = text.removeprefix("\n")
            self._after_return = False
        start = text.rfind("\x1b", max(0, len(text) - _HELD_CHARS))
        if start >= 0:
            # An escape that may end a longer sequence belongs to the one before it.
            before = text.rfind("\x1b", max(0, start - _HELD_CHARS), start)
            for begin in (before, start):
                if begin >= 0 and _UNFINISHED.match(text, begin):
                    text, self._held = text[:begin], text[begin:]
                    break
        self._after_return = text.endswith("\r")
        return clean_text(text)
