"""Which bugs are sensitive: expressions over keywords, groups and fields, and what they make of a bug.

    keyword:sec-high or keyword:sec-critical or (private and not keyword:sec-*)

Source: docs/reference/gate.md#selectors
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

import msgspec

from liftlock.domain.pushes.bug_state import BugState
from liftlock.domain.pushes.feed import BLOCKING, MAX_UPLIFTS, Reason, Record
from liftlock.errors import InputInvalidError

Test = Callable[[BugState], bool]

MAX_EXPRESSION: Final = 4_096
MAX_DEPTH: Final = 32
_TOKEN = re.compile(r"""\s*(?:([()])|((?:[^\s()"]|"[^"]*")+))""")
_WORDS = frozenset({"and", "or", "not", ")"})
_FORMS: Final = (
    "keyword:NAME, group:NAME, status:NAME, resolution:NAME, field:NAME=VALUE or private (NAME may hold *)"
)


def parse(text: str, *, what: str = "expression") -> Test:
    """Return the test that `text` stands for.

    Raises:
        InputInvalidError: it is no expression; the message says where and what was expected.
    """
    if len(text) > MAX_EXPRESSION:
        raise InputInvalidError(f"{what}: {len(text)} characters, expected at most {MAX_EXPRESSION}")
    reader = _Reader(_tokens(text, what), what)
    test = reader.either(0)
    if reader.tokens:
        raise InputInvalidError(f"{what}: expected and, or, or the end, found {reader.tokens[0]!r}")
    return test


def _tokens(text: str, what: str) -> list[str]:
    found, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise InputInvalidError(f'{what}: a quotation mark is not closed at "{text[at:].strip()[:40]}"')
        found.append(match[1] or match[2])
        at = match.end()
    return found


class _Reader:
    """Recursive descent over the tokens that are left."""

    def __init__(self, tokens: list[str], what: str) -> None:
        self.tokens = tokens
        self.what = what

    def either(self, depth: int) -> Test:
        tests = [self.both(depth)]
        while self.tokens and self.tokens[0] == "or":
            del self.tokens[0]
            tests.append(self.both(depth))
        return tests[0] if len(tests) == 1 else lambda bug: any(test(bug) for test in tests)

    def both(self, depth: int) -> Test:
        tests = [self.single(depth)]
        while self.tokens and self.tokens[0] == "and":
            del self.tokens[0]
            tests.append(self.single(depth))
        return tests[0] if len(tests) == 1 else lambda bug: all(test(bug) for test in tests)

    def single(self, depth: int) -> Test:
        if depth > MAX_DEPTH:
            raise InputInvalidError(f"{self.what}: nested deeper than {MAX_DEPTH}")
        token = self.tokens.pop(0) if self.tokens else ""
        if token == "not":  # noqa: S105 -- a word of the grammar
            denied = self.single(depth + 1)
            return lambda bug: not denied(bug)
        if token == "(":  # noqa: S105 -- as above
            inner = self.either(depth + 1)
            if not self.tokens or self.tokens.pop(0) != ")":
                raise InputInvalidError(f"{self.what}: expected )")
            return inner
        if not token or token in _WORDS:
            found = repr(token) if token else "the end"
            raise InputInvalidError(f"{self.what}: expected {_FORMS}, found {found}")
        return _atom(token, self.what)


def _atom(token: str, what: str) -> Test:
    if token == "private":  # noqa: S105 -- a word of the grammar
        return lambda bug: bool(bug.groups) or not bug.readable
    kind, colon, rest = token.partition(":")
    pattern, equals, value = rest.replace('"', "").partition("=")
    if not colon or not pattern or (kind == "field") != bool(equals):
        raise InputInvalidError(f"{what}: expected {_FORMS}, found {token!r}")
    match kind:
        case "keyword":
            return lambda bug: any(fnmatchcase(each, pattern) for each in bug.keywords)
        case "group":
            return lambda bug: any(fnmatchcase(each, pattern) for each in bug.groups)
        case "status":
            return lambda bug: fnmatchcase(bug.status, pattern)
        case "resolution":
            return lambda bug: fnmatchcase(bug.resolution, pattern)
        case "field":
            return lambda bug: any(
                fnmatchcase(name, pattern) and fnmatchcase(held, value)
                for name, held in bug.status_flags.items()
            )
        case _:
            raise InputInvalidError(f"{what}: expected {_FORMS}, found {token!r}")


class Selectors(msgspec.Struct, frozen=True, kw_only=True):
    """What makes a bug sensitive, what exempts it, what closes it, and which flags approve it."""

    sensitive: Test
    exempt: Test
    closed: Test
    approval_flag: str
    uplift_flags: str
    """A pattern of flag names, such as `approval-*`."""
    digest_of: tuple[tuple[str, str], ...]
    """The settings as text, sorted: records made under other settings must not be mixed with these."""


DEFAULTS: Final[Mapping[str, str]] = {
    "sensitive": "keyword:sec-high or keyword:sec-critical",
    "exempt": "",
    "closed": "status:RESOLVED or status:VERIFIED or status:CLOSED",
    "approval-flag": "sec-approval",
    "uplift-flags": "approval-*",
}


def parse_selectors(table: Mapping[str, Any], *, what: str = "selectors") -> Selectors:
    """Return the selectors of a table of a TOML file; what is left out is as in `DEFAULTS`.

    Raises:
        InputInvalidError: an unknown key, a value that is no text, or no expression.
    """
    for key, value in table.items():
        if key not in DEFAULTS or not isinstance(value, str):
            raise InputInvalidError(f"{what}.{key}: expected text at one of {', '.join(DEFAULTS)}")
    given = {**DEFAULTS, **table}

    def expression(key: str) -> Test:
        text = given[key]
        return parse(text, what=f"{what}.{key}") if text.strip() else lambda _: False

    return Selectors(
        sensitive=expression("sensitive"),
        exempt=expression("exempt"),
        closed=expression("closed"),
        approval_flag=given["approval-flag"],
        uplift_flags=given["uplift-flags"],
        digest_of=tuple(sorted(given.items())),
    )


def assess(selectors: Selectors, bug: int, seq: int, state: BugState) -> Record:
    """Return the record of a bug in this state: all that the gate learns of it."""
    reason = _reason(selectors, state)
    uplift = {
        name
        for patch in state.patches
        if patch.is_code
        for name, status in patch.flags.items()
        if status == "+" and fnmatchcase(name, selectors.uplift_flags)
    }
    return Record(
        bug=bug,
        seq=seq,
        blocked=reason in BLOCKING,
        reason=reason,
        uplift=tuple(sorted(uplift)[:MAX_UPLIFTS]),
        closed=selectors.closed(state),
    )


def _reason(selectors: Selectors, state: BugState) -> Reason:
    if not state.readable:
        return "unreadable"
    if not selectors.sensitive(state) or selectors.exempt(state):
        return "exempt" if selectors.sensitive(state) else "ordinary"
    live = [patch for patch in state.patches if patch.is_code]
    answers = {patch.flags.get(selectors.approval_flag) for patch in live}
    if not live:
        return "no-live-patch"
    if "+" in answers:
        return "approved"
    return "requested" if "?" in answers else "denied" if "-" in answers else "unapproved"
