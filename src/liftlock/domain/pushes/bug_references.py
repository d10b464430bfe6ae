"""The bugs that a piece of a commit message names.

Works on raw bytes: messages need not be UTF-8, and a push of 100,000 of them has two seconds. Every pattern is linear.

Source: docs/reference/gate.md#grammar
"""

from __future__ import annotations

import re
from collections.abc import Set
from typing import Final

from liftlock.domain.pushes.feed import MAX_BUG

MAX_REFERENCES: Final = 64
"""Different bugs that one message can name; more are not read."""

_GAP = rb"[\s\x80-\xff]*+"
"""Spaces of any encoding: what is not ASCII can be a space, a dash or a quotation mark, and is taken for one."""
_BETWEEN = rb"(?:[\s\x80-\xff#:=()\[\]{}<>\"'`_/*~|+-]|\.(?=[0-9]{4}))*+"
_WORDS = rb"(?:(?:numbers?|num|nos?|nr|ids?)\b\.?" + _BETWEEN + rb")?+"
_NUMBER = rb"#?(?:[0-9]{1,18}(?![0-9a-z])|[0-9]{5,18}(?![0-9]))"
_AND = (
    rb"(?:" + _GAP + rb"(?:[,;/&+|]" + _GAP + rb"(?:and\b" + _GAP + rb")?+|(?:and|or)\b" + _GAP + rb")"
    rb"(?:bugs?\b" + _GAP + rb")?+|[ \t\x80-\xff]++)"
)
_LIST = rb"(?:" + _AND + _NUMBER + rb")*+"
_LONG_LIST = rb"(?:" + _AND + rb"(?=#?[0-9]{4})" + _NUMBER + rb")*+"
_BUGS = rb"bugs" + _BETWEEN + _WORDS + _NUMBER + _LIST
_BUG = rb"bug(?:zilla|zil\.la)?" + _BETWEEN + _WORDS + _NUMBER + _LONG_LIST
_B = rb"b=" + _NUMBER + _LONG_LIST
_LINK = rb"show_bug\.cgi\?(?:[^\s?]{0,200}?[&;])?id(?:=|%3d)([0-9]{1,18})(?![0-9])"
_FIX = rb"fix(?:es|ed)?" + _GAP + rb"for" + _GAP + _NUMBER + rb"(?!\.[0-9])"
# Of lower-case text, and without a look behind: a pattern that starts with plain letters is searched several times faster.
_REFERENCE = re.compile(b"|".join([_BUGS, _BUG, _B, _LINK, _FIX]))
_DIGITS = re.compile(rb"[0-9]+")
_NUMBERS = re.compile(rb"[1-9][0-9]{0,7}")
"""Every number of a bug is one of these, and longer ones fall into several: no bug is missed."""
_WORD = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyz_")
_QUERY = frozenset(b"?&")
_NO_BUG = re.compile(rb"[\s(\[]*+no[\s-]{0,8}bug\s*+(?:[^\w\s]|\Z)")


def may_refer(lowered: bytes) -> bool:
    """Whether the lower-case text is worth reading: False only if it names no bug in any way."""
    return b"bug" in lowered or b"b=" in lowered or b"fix" in lowered


def may_name(message: bytes, bugs: Set[int]) -> bool:
    """Whether the message is worth reading for these bugs: False only if it names none of them. It costs one search."""
    return not bugs.isdisjoint(map(int, _NUMBERS.findall(message)))


def says_no_bug(subject: bytes) -> bool:
    """Whether the lower-case subject begins with "no bug" and a punctuation mark. It counts only where no bug is named."""
    return _NO_BUG.match(subject) is not None


def references(lowered: bytes) -> tuple[int, ...]:
    """Return the bugs that the lower-case text names: in order, each once, at most `MAX_REFERENCES`.

    A list after `bugs` may hold any numbers, after `bug` only numbers of at least four digits ("bug 123456, 2 files"
    names one). Zero and numbers above `MAX_BUG` are no bugs.
    """
    return references_around(lowered, len(lowered))[0]


def references_around(lowered: bytes, border: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the bugs whose naming begins before `border`, and the others from there on; each as `references` does."""
    before: dict[int, None] = {}
    after: dict[int, None] = {}
    match = _REFERENCE.search(lowered)
    while match is not None:
        if _stands_alone(lowered, match.start()):
            found = before if match.start() < border else after
            for digits in [match[1]] if match[1] is not None else _DIGITS.findall(match[0]):
                number = int(digits)
                if 0 < number <= MAX_BUG and len(found) < MAX_REFERENCES and number not in before:
                    found.setdefault(number)
            match = _REFERENCE.search(lowered, match.end())
        else:
            match = _REFERENCE.search(lowered, match.start() + 1)
    return tuple(before), tuple(after)


def _stands_alone(lowered: bytes, at: int) -> bool:
    """Whether what starts at `at` is the beginning of a word, and no option of an address."""
    before = lowered[at - 1] if at else 32
    return before not in _WORD and not (lowered[at + 1] == 61 and before in _QUERY)
