"""The stream of commits that a hook sends: `<name> <kind> <size>` and a newline, the object, a newline.

It is what `git cat-file --batch` writes, so that the hook only copies. The Mercurial hook sends raw changelog texts in
the same form, as kind `changeset`, or `merge` for one with two parents.

Source: docs/reference/gate.md#wire
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from liftlock.errors import MalformedPayloadError

MAX_OBJECT: Final = 16_777_216
_MAX_HEAD: Final = 160
_HEX: Final = frozenset(b"0123456789abcdef")


class Raw(NamedTuple):
    """One commit: `branch` is what a changeset says, empty for git."""

    revision: str
    merge: bool
    message: bytes
    branch: str


class Commits:
    """Takes pieces of the stream and gives whole commits."""

    def __init__(self) -> None:
        self._rest = b""

    @property
    def pending(self) -> bool:
        """Whether a commit has begun and not ended."""
        return bool(self._rest)

    def feed(self, piece: bytes) -> Iterator[Raw]:
        """Yield each commit that is complete now.

        Raises:
            MalformedPayloadError: it is no such stream, or an object is too large.
        """
        data = self._rest + piece if self._rest else piece
        at = 0
        while True:
            line = data.find(b"\n", at, at + _MAX_HEAD)
            if line < 0:
                if len(data) - at >= _MAX_HEAD:
                    raise MalformedPayloadError("gate: the stream of commits is not understood")
                break
            name, kind, size = _head(data[at:line])
            stop = line + 1 + size
            if stop >= len(data):
                break
            if kind == b"commit":
                yield _git(name, data[line + 1 : stop])
            elif kind in {b"changeset", b"merge"}:
                yield _mercurial(name, data[line + 1 : stop], merge=kind == b"merge")
            at = stop + 1
        self._rest = data[at:]


def _head(line: bytes) -> tuple[str, bytes, int]:
    parts = line.split(b" ")
    if len(parts) != 3 or not parts[2].isdigit() or len(parts[2]) > 12 or not _HEX.issuperset(parts[0]):
        raise MalformedPayloadError("gate: expected the name, kind and size of a commit")
    size = int(parts[2])
    if size > MAX_OBJECT:
        raise MalformedPayloadError(f"gate: an object of {size} bytes, expected at most {MAX_OBJECT}")
    return parts[0].decode(), parts[1], size


def _git(name: str, content: bytes) -> Raw:
    """Lines that continue a header begin with a space, so an empty line ends the headers."""
    head, _, message = content.partition(b"\n\n")
    return Raw(name, head.count(b"\nparent ") > 1, message, "")


def _mercurial(name: str, text: bytes, *, merge: bool) -> Raw:
    """The text is: manifest, user, date with extras, a line a file, an empty line, the description."""
    head, _, message = text.partition(b"\n\n")
    return Raw(name, merge, message, _branch(head) if b"branch:" in head else "default")


def _branch(head: bytes) -> str:
    lines = head.split(b"\n", 3)
    extras = lines[2].split(b" ", 2)[2:] if len(lines) > 2 else []
    for pair in extras[0].split(b"\0") if extras else []:
        if pair.startswith(b"branch:"):
            return pair[7:].decode("utf-8", "replace")
    return "default"
