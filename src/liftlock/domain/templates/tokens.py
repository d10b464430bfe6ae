"""Splits a JSON-e expression into tokens, one at a time: what follows a closing brace is never read."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from liftlock.errors import TemplateRefusedError

Kind = Literal["number", "string", "name", "symbol", "end"]


class Token(NamedTuple):
    """A token: its kind, its text (a string's without quotes) and where it begins and ends in the source."""

    kind: Kind
    text: str
    start: int
    end: int


_TOKEN = re.compile(
    r"""\s* (?: (?P<number>[0-9]+(?:\.[0-9]+)?)
            |   (?P<name>[a-zA-Z_][a-zA-Z_0-9]*)
            |   (?P<string>'[^']*'|"[^"]*")
            |   (?P<symbol>\*\*|>=|<=|==|!=|&&|\|\||[-+*/\[\].(){}:,<>!])
            |   (?P<end>\Z) )""",
    re.VERBOSE,
)
_WORDS_AS_SYMBOLS = frozenset({"true", "false", "null", "in"})


def next_token(source: str, offset: int) -> Token:
    """Return the token of `source` at `offset`, white space skipped; the kind `end` behind the last one.

    Raises:
        TemplateRefusedError: What stands there begins no token.
    """
    match = _TOKEN.match(source, offset)
    if match is None:
        rest = source[offset:].lstrip()[:20]
        raise TemplateRefusedError(f"no expression begins like this: {rest!r} (in {source[:80]!r})")
    kind = match.lastgroup
    text = match[kind] if kind else ""
    start, end = match.span(kind) if kind else (offset, offset)
    match kind:
        case "number":
            return Token("number", text, start, end)
        case "string":
            return Token("string", text[1:-1], start, end)
        case "name" if text not in _WORDS_AS_SYMBOLS:
            return Token("name", text, start, end)
        case "name" | "symbol":
            return Token("symbol", text, start, end)
        case _:
            return Token("end", "", start, end)
