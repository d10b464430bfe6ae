"""The stream of commits that a hook sends: `<name> <kind> <size>` and a newline, the object, a newline.

It is what `git cat-file --batch` writes, so that the hook only copies. The Mercurial hook sends raw changelog texts in
the same form, as kind `changeset`, or `merge` for one with two parents.

Source: docs/reference/gate.md#wire
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from liftlock.errors import MalformedPayloadError

MAX_OBJECT: Final = 16_777_216
_MAX_HEAD: Final = 160
_MISSING: Final = [b"", b"", b""]
_HEAD: Final = re.compile(rb"([0-9a-f]{40,64}) ([a-z]{1,16}) ([0-9]{1,12})\n")


class Raw(NamedTuple):
    """One commit: `branch` is what a changeset says, empty for git."""

    revision: str
    merge: bool
    message: bytes
    branch: str


class Commits:
    """Takes pieces of the stream and gives whole commits."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._needed = 0

    @property
    def pending(self) -> bool:
        """Whether a commit has begun and not ended."""
        return bool(self._rest)

    def feed(self, piece: bytes) -> Iterator[Raw]:
        """Yield each commit that is complete now.

        Raises:
            MalformedPayloadError: it is no such stream, or an object is too large.
        """
        if self._rest:
            self._rest += piece
            if len(self._rest) < self._needed:
                return  # a large commit in small pieces is put together once
            data = bytes(self._rest)
        else:
            data = piece
        at = needed = 0
        while True:
            head = _HEAD.match(data, at)
            if head is None:
                if len(data) - at >= _MAX_HEAD or b"\n" in data[at:]:
                    raise MalformedPayloadError("gate: the stream of commits is not understood")
                needed = 0
                break
            name, kind, size = head.groups()
            begin = head.end()
            stop = begin + int(size)
            if stop >= len(data):
                if int(size) > MAX_OBJECT:
                    raise MalformedPayloadError(
                        f"gate: an object of {int(size)} bytes, expected at most {MAX_OBJECT}"
                    )
                needed = stop + 1 - at
                break
            if kind == b"commit":
                yield _git(name.decode(), data[begin:stop])
            elif kind == b"changeset" or kind == b"merge":  # noqa: PLR1714 -- in the innermost loop
                yield _mercurial(name.decode(), data[begin:stop], merge=kind == b"merge")
            at = stop + 1
        self._rest, self._needed = bytearray(data[at:]), needed


def _git(name: str, content: bytes) -> Raw:
    """Lines that continue a header begin with a space, so an empty line ends the headers."""
    head, _, message = content.partition(b"\n\n")
    return Raw(name, head.count(b"\nparent ") > 1, message, "")


def _mercurial(name: str, text: bytes, *, merge: bool) -> Raw:
    """The text is: manifest, user, date with extras, a line a file, an empty line, the description.

    The user may be empty, so that the first empty line is not always the one before the description.
    """
    _, _, date, rest = (text.split(b"\n", 3) + _MISSING)[:4]
    message = rest[1:] if rest[:1] == b"\n" else rest.partition(b"\n\n")[2]
    return Raw(name, merge, message, _branch(date) if b"branch:" in date else "default")


def _branch(date: bytes) -> str:
    extras = date.split(b" ", 2)[2:]
    for pair in extras[0].split(b"\0") if extras else []:
        if pair.startswith(b"branch:"):
            return pair[7:].decode("utf-8", "replace")
    return "default"
