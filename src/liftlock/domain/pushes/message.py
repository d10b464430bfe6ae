"""What a commit message says to the gate: which bugs, who approved, whether it takes something back.

Source: docs/reference/gate.md#grammar
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

from liftlock.domain.pushes.bug_references import may_refer, references_around, says_no_bug

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

_APPROVAL = re.compile(
    rb"(?<![\w?&/.=<`${-])a=[<\[(\"']{0,2}"
    rb"((?<=<)[^\s<>]{1,99}(?=>)|[A-Za-z#@~|][\w\x80-\xff.@#~|:-]{0,99}(?=[\s,;!>)\]\"']|\Z))"
)
_CALL = re.compile(rb"\w\([^()\n]{0,300}\)")
"""Code such as `f(x, a=value)`, in which nobody approves of anything."""
_CLOSED = re.compile(rb"(?<!\w)CLOSEDBUG(?!\w)")
_TAGS = re.compile(rb"\s*(?:\[[^\]\n]{0,40}\]\s*){0,4}")
_BUG_PREFIX = re.compile(
    rb"(?:bugs?[\s\x80-\xff#:=()\[\]_-]{0,16}[0-9]{1,18}(?:[\s,&\x80-\xff]{0,8}(?:and\b)?[\s#]{0,8}[0-9]{1,18}){0,8}"
    rb"|no[\s-]{0,4}bug)[\s\])\x80-\xff]{0,8}[-:,.]*[\s\x80-\xff]{0,8}",
    re.IGNORECASE,
)
_VERB = rb"(?:back(?:ed|ing|s)?[\s-]{0,4}outs?|revert(?:s|ed|ing)?)\b[\s:]{0,8}"
_HASH = rb"(?=[a-f]{0,39}[0-9])[0-9a-f]{7,40}\b"
_WHAT = rb"(?:changesets?|commits?|revisions?|csets?)\b"
_TURNS = re.compile(_VERB, re.IGNORECASE)
_TAKES_BACK = re.compile(
    _VERB + rb"(?=(?:of\s{1,8})?(?:the\s{1,8})?(?:[\"'`]|\xe2\x80[\x98\x9c]|[0-9]{1,4}\s{1,8}" + _WHAT + rb"|"
    rb"(?:" + _WHAT + rb"[\s:#(]{0,8})?" + _HASH + rb"|bugs?[\s#:(\[-]{0,8}[0-9]))",
    re.IGNORECASE,
)
_FILLER = re.compile(
    rb"[\s\"'(:\[]{0,8}(?:(?:of|the|commit|changeset|[0-9a-f]{7,40})\b[\s\"'(:]{0,8}){0,4}", re.IGNORECASE
)
_END_OF_PARAGRAPH = re.compile(rb"\n[ \t\r\f\v]*+\n")
_MAX_NESTING: Final = 16


def border(message: bytes) -> int:
    """Return where the subject ends: with the first paragraph, for it may be broken into lines anywhere."""
    found = _END_OF_PARAGRAPH.search(message, len(message) - len(message.lstrip()))
    return found.start() if found else len(message)


def direction_of(subject: bytes) -> Direction:
    """Return whether a commit of this subject takes something back.

    "Back out" or "revert" does so only right before a commit, a count of them, a quotation or a bug: "Back out of the loop
    early" is a change like any other. Each further one turns the meaning again: a revert of a revert brings it back.
    """
    at = _match_end(_TAGS, subject, 0)
    at = _match_end(_BUG_PREFIX, subject, at)
    backwards = False
    for _ in range(_MAX_NESTING):
        turned = (_TURNS if backwards else _TAKES_BACK).match(subject, at)
        if turned is None:
            break
        backwards = not backwards
        at = _match_end(_FILLER, subject, turned.end())
        at = _match_end(_BUG_PREFIX, subject, at)
    return "backout" if backwards else "forward"


def _match_end(pattern: re.Pattern[bytes], text: bytes, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def read(message: bytes) -> Message:
    """Return what `message` says. A message that names no bug costs one search."""
    lowered = message.lower()
    if not may_refer(lowered):
        return SILENT
    lowered = lowered[:MAX_MESSAGE]
    end = border(lowered)
    in_subject, in_body = references_around(lowered, end)
    subject = lowered[:end]
    if not in_subject and (not in_body or says_no_bug(subject)):
        return SILENT
    message = message[:MAX_MESSAGE]
    return Message(
        in_subject,
        in_body,
        tuple(_APPROVAL.findall(_CALL.sub(b" ", message))) if b"a=" in message else (),
        direction_of(subject) if b"back" in subject or b"revert" in subject else "forward",
        b"CLOSEDBUG" in message and _CLOSED.search(message) is not None,
    )
