"""Parses expressions: precedence climbing over lazily read tokens.

Precedence from loosest to tightest: `||`, `&&`, `in`, `== !=`, `< > <= >=`, `+ -`, `* /`, `**` (from the right),
then property access, index and call. A unary operator binds tighter than all of them, access included: `!a.b` means
`(!a).b`, as in every JSON-e, so write `!(a.b)`.
"""

from __future__ import annotations

from typing import NoReturn

from liftlock.domain.templates.syntax import (
    Binary,
    Call,
    Index,
    ListOf,
    Literal,
    Name,
    Node,
    ObjectOf,
    Property,
    Slice,
    Unary,
)
from liftlock.domain.templates.tokens import Token, next_token
from liftlock.errors import TemplateRefusedError

MAX_EXPRESSION_NODES = 2_000
MAX_EXPRESSION_DEPTH = 100
"""Nesting of parentheses, and length of a chain of operators of one precedence."""
MAX_LITERAL_DIGITS = 77

_PRECEDENCE = {
    "||": 0, "&&": 1, "in": 2, "==": 3, "!=": 3, "<": 4, ">": 4, "<=": 4, ">=": 4, "+": 5, "-": 5, "*": 6, "/": 6,
    "**": 7,
}  # fmt: skip
_POWER = 7
_CONSTANTS = {"true": True, "false": False, "null": None}


def parse_expression(source: str) -> Node:
    """Return the tree of the whole of `source`, or raise TemplateRefusedError."""
    parser = _Parser(source, 0)
    node = parser.expression(0)
    if parser.token.kind != "end":
        parser.unexpected("an operator or the end")
    return node


def parse_interpolation(source: str, offset: int) -> tuple[Node, int]:
    """Return the tree of the expression that begins at `offset` and ends with `}`, and the offset behind that."""
    parser = _Parser(source, offset)
    node = parser.expression(0)
    if parser.token.text != "}" or parser.token.kind != "symbol":
        parser.unexpected("an operator or `}`")
    return node, parser.token.end


class _Parser:
    def __init__(self, source: str, offset: int) -> None:
        self.source = source
        self.token: Token = next_token(source, offset)
        self._nodes = 0
        self._depth = 0

    def unexpected(self, expected: str) -> NoReturn:
        found = "the end" if self.token.kind == "end" else repr(self.token.text)
        raise TemplateRefusedError(f"expected {expected}, found {found} in {self.source[:120]!r}")

    def _advance(self) -> None:
        self.token = next_token(self.source, self.token.end)

    def _at(self, *symbols: str) -> bool:
        return self.token.kind == "symbol" and self.token.text in symbols

    def _take(self, symbol: str) -> None:
        if not self._at(symbol):
            self.unexpected(f"`{symbol}`")
        self._advance()

    def _count(self, depth: int) -> None:
        self._nodes += 1
        if self._nodes > MAX_EXPRESSION_NODES:
            raise TemplateRefusedError(f"an expression has more than {MAX_EXPRESSION_NODES} parts")
        if depth > MAX_EXPRESSION_DEPTH:
            raise TemplateRefusedError(f"an expression is nested more than {MAX_EXPRESSION_DEPTH} deep")

    def expression(self, least: int) -> Node:
        """Parse operators of precedence `least` and tighter."""
        self._depth += 1
        self._count(self._depth)
        node = self._access()
        chain = 0
        while self.token.kind == "symbol" and _PRECEDENCE.get(self.token.text, -1) >= least:
            operator = self.token.text
            precedence = _PRECEDENCE[operator]
            self._advance()
            node = Binary(
                operator, node, self.expression(precedence if precedence == _POWER else precedence + 1)
            )
            chain += 1
            self._count(self._depth + chain)
        self._depth -= 1
        return node

    def _access(self) -> Node:
        node = self._unit()
        chain = 0
        while self._at(".", "[", "("):
            chain += 1
            self._count(self._depth + chain)
            if self._at("."):
                self._advance()
                if self.token.kind != "name":
                    self.unexpected("the name of a property")
                node = Property(node, self.token.text)
                self._advance()
            elif self._at("["):
                node = self._brackets(node)
            else:
                self._advance()
                node = Call(node, self._list_until(")"))
        return node

    def _brackets(self, value: Node) -> Node:
        self._take("[")
        start = None if self._at(":") else self.expression(0)
        if not self._at(":"):
            self._take("]")
            assert start is not None
            return Index(value, start)
        self._advance()
        stop = None if self._at("]") else self.expression(0)
        self._take("]")
        return Slice(value, start, stop)

    def _list_until(self, end: str) -> tuple[Node, ...]:
        """Parse what stands between an opening bracket already taken and `end`, and take that."""
        items: list[Node] = []
        if not self._at(end):
            items.append(self.expression(0))
            while self._at(","):
                self._advance()
                items.append(self.expression(0))
        self._take(end)
        return tuple(items)

    def _unit(self) -> Node:
        token = self.token
        if token.kind == "symbol":
            return self._symbol(token.text)
        if token.kind == "end":
            self.unexpected("an expression")
        self._advance()
        if token.kind == "name":
            return Name(token.text)
        return Literal(token.text if token.kind == "string" else _number(token.text))

    def _symbol(self, text: str) -> Node:
        if text in _CONSTANTS:
            self._advance()
            return Literal(_CONSTANTS[text])
        if text in ("+", "-", "!"):
            return self._unary(text)
        if text not in ("(", "[", "{"):
            self.unexpected("an expression")
        self._advance()
        if text == "[":
            return ListOf(self._list_until("]"))
        if text == "{":
            return self._object()
        node = self.expression(0)
        self._take(")")
        return node

    def _unary(self, operator: str) -> Node:
        self._advance()
        self._depth += 1
        self._count(self._depth)
        node = Unary(operator, self._unit())
        self._depth -= 1
        return node

    def _object(self) -> Node:
        items: list[tuple[str, Node]] = []
        while self.token.kind in ("string", "name"):
            key = self.token.text
            self._advance()
            self._take(":")
            items.append((key, self.expression(0)))
            if self._at("}"):
                break
            self._take(",")
        self._take("}")
        return ObjectOf(tuple(items))


def _number(text: str) -> int | float:
    if len(text) > MAX_LITERAL_DIGITS:
        raise TemplateRefusedError(f"a number has more than {MAX_LITERAL_DIGITS} digits")
    return float(text) if "." in text else int(text)
