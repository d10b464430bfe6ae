"""What a commit message says to the gate: which bugs, who approved, whether it takes something back.

Source: docs/reference/gate.md#grammar
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

from liftlock.domain.pushes.bug_references import may_refer, references, says_no_bug

MAX_MESSAGE: Final = 1_048_576
"""Bytes of a message that are read."""

Direction = Literal["forward", "backout"]
"""forward: it brings the change (a revert of a revert does, too); backout: it takes it away."""


class Message(NamedTuple):
    """One message, read. `subject` and `body` are the bugs named there; what both name is in `subject` only."""

    subject: tuple[int, ...]
    body: tuple[int, ...]
    approved_by: tuple[bytes, ...]
    """The values of its `a=` tokens."""
    direction: Direction
    closed_on_purpose: bool
    """It has the word CLOSEDBUG."""


SILENT: Final = Message((), (), (), "forward", closed_on_purpose=False)
"""What a message that names no bug amounts to."""

_APPROVAL = re.compile(rb"(?<![\w?&/.=<-])a=[<\[(\"']{0,2}([A-Za-z#@~|][^\s,;\"'<>()\[\]]{0,99})")
_CLOSED = re.compile(rb"(?<!\w)CLOSEDBUG(?!\w)")
_TAGS = re.compile(rb"\s*(?:\[[^\]\n]{0,40}\]\s*){0,4}")
_BUG_PREFIX = re.compile(
    rb"(?:bugs?[\s#:-]{0,8}[0-9]{1,18}(?:[\s,&]{0,8}(?:and\b)?[\s#]{0,8}[0-9]{1,18}){0,8}|no[\s-]{0,4}bug)\s{0,8}[-:,.]*\s{0,8}",
    re.IGNORECASE,
)
_BACK_OUT = re.compile(rb"back(?:ed|ing|s)?[\s-]{0,4}outs?\b[\s:]{0,8}", re.IGNORECASE)
_REVERT = re.compile(rb"(?:revert(?:s|ed|ing)?)\b[\s:]{0,8}", re.IGNORECASE)
_REVERT_OF_COMMIT = re.compile(
    rb"(?:revert(?:s|ed|ing)?)\b[\s:]{0,8}(?=[\"']|(?:changesets?|commits?|revisions?)\b|[0-9a-f]{7,40}\b)",
    re.IGNORECASE,
)
_AGAIN = re.compile(rb"(?:re-?apply|re-?land)(?:ed|ing|s)?\b", re.IGNORECASE)
_FILLER = re.compile(
    rb"[\s\"'(:\[]{0,8}(?:(?:of|the|commit|changeset|[0-9a-f]{7,40})\b[\s\"'(:]{0,8}){0,4}", re.IGNORECASE
)
_MAX_NESTING: Final = 16


def split(message: bytes) -> tuple[bytes, bytes]:
    """Return the first line that is not empty, and what follows it."""
    subject, _, body = message[:MAX_MESSAGE].lstrip(b"\r\n\t ").partition(b"\n")
    return subject, body


def direction_of(subject: bytes) -> Direction:
    """Return whether a commit of this subject takes something back.

    Each "back out" or "revert" turns the meaning of what follows it: a revert of a revert brings the change back. After
    "Bug 1 - " a plain "Revert to the old layout" is a change like any other; it counts only before a commit.
    """
    rest = subject[_match_end(_TAGS, subject, 0) :]
    prefix = _match_end(_BUG_PREFIX, rest, 0)
    backwards, at, revert = False, prefix, _REVERT_OF_COMMIT if prefix else _REVERT
    for _ in range(_MAX_NESTING):
        turned = _BACK_OUT.match(rest, at) or revert.match(rest, at)
        if turned is None:
            break
        backwards, revert = not backwards, _REVERT
        at = _match_end(_FILLER, rest, turned.end())
        at = _match_end(_BUG_PREFIX, rest, at)
    return "backout" if backwards and not (at == prefix and _AGAIN.match(rest, at)) else "forward"


def _match_end(pattern: re.Pattern[bytes], text: bytes, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def read(message: bytes) -> Message:
    """Return what `message` says. A message that names no bug costs one search."""
    lowered = message.lower()
    if not may_refer(lowered):
        return SILENT
    subject, body = split(lowered)
    if says_no_bug(subject):
        return SILENT
    in_subject = references(subject)
    in_body = tuple(bug for bug in references(body) if bug not in in_subject) if may_refer(body) else ()
    if not in_subject and not in_body:
        return SILENT
    message = message[:MAX_MESSAGE]
    return Message(
        in_subject,
        in_body,
        tuple(_APPROVAL.findall(message)) if b"a=" in message else (),
        direction_of(subject) if b"back" in subject or b"revert" in subject else "forward",
        b"CLOSEDBUG" in message and _CLOSED.search(message) is not None,
    )
