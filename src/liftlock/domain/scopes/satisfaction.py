"""Which scopes satisfy which, and whether a set of scopes satisfies an expression.

A scope is printable ASCII. `A` satisfies `B` iff they are equal, or `A` ends in `*` and `B` starts with `A` without
that `*`. A `*` anywhere else is an ordinary character.

Source: docs/reference/access.md#scopes
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, assert_never, final

import msgspec

from liftlock.errors import InputInvalidError

_SCOPE = re.compile(r"[\x20-\x7e]*\Z", re.ASCII)
MAX_EXPRESSION_DEPTH: Final = 16
"""Levels of AllOf and AnyOf in an expression that a request may bring."""


def is_scope(value: object) -> bool:
    """Tell whether `value` is text of printable ASCII (the empty text included)."""
    return isinstance(value, str) and _SCOPE.match(value) is not None


def satisfies(held: str, needed: str) -> bool:
    """Tell whether the single scope `held` satisfies the single scope `needed`."""
    return held == needed or (held.endswith("*") and needed.startswith(held[:-1]))


def _order(scope: str) -> str:
    """Sort key: a scope with a trailing `*` comes before its own prefix, everything else lexically.

    What is added to the others is less than every character of a scope.
    """
    return scope[:-1] if scope.endswith("*") else scope + "\x01"


def in_order(scopes: Iterable[str]) -> tuple[str, ...]:
    """Return `scopes` sorted, each once: one with a trailing `*` before its own prefix, otherwise lexically."""
    return tuple(sorted(set(scopes), key=_order))


def normalise(scopes: Iterable[str]) -> tuple[str, ...]:
    """Return the normal form: sorted, unique, nothing that another member satisfies."""
    kept: list[str] = []
    prefix: str | None = None
    for scope in in_order(scopes):
        if prefix is not None and scope.startswith(prefix):
            continue
        kept.append(scope)
        if scope.endswith("*"):
            prefix = scope[:-1]
    return tuple(kept)


def minimal_prefixes(prefixes: Iterable[str]) -> tuple[str, ...]:
    """Return `prefixes` sorted, without those that start with another one."""
    kept: list[str] = []
    last: str | None = None
    for prefix in sorted(prefixes):
        if last is None or not prefix.startswith(last):
            kept.append(prefix)
            last = prefix
    return tuple(kept)


@final
class ScopeSet:
    """An immutable set of scopes that answers fast; iterating gives the normal form, which is computed when asked for.

    A question costs a set look-up and a bisection: among prefixes of which none starts with another, only the
    greatest one that is not above the text can be its prefix.
    """

    __slots__ = ("_exact", "_normal", "_prefixes")

    _exact: frozenset[str]
    _prefixes: tuple[str, ...]
    _normal: tuple[str, ...] | None

    def __init__(self, scopes: Iterable[str] = ()) -> None:
        exact, prefixes = split(scopes)
        self._exact = frozenset(exact)
        self._prefixes = minimal_prefixes(prefixes)
        self._normal = None

    @classmethod
    def of_parts(cls, exact: Iterable[str], prefixes: Iterable[str]) -> ScopeSet:
        """Return the set of the scopes `exact` (none ends in `*`) and of each of `prefixes` followed by `*`."""
        made = cls.__new__(cls)
        made._exact = frozenset(exact)
        made._prefixes = minimal_prefixes(prefixes)
        made._normal = None
        return made

    def satisfies(self, scope: str) -> bool:
        """Tell whether one member satisfies `scope`."""
        if scope in self._exact:
            return True
        prefixes = self._prefixes
        at = bisect_right(prefixes, scope)
        return at > 0 and scope.startswith(prefixes[at - 1])

    def satisfies_all(self, scopes: Iterable[str]) -> bool:
        """Tell whether every one of `scopes` is satisfied (true of none)."""
        return all(map(self.satisfies, scopes))

    @property
    def scopes(self) -> tuple[str, ...]:
        """The normal form: sorted, unique, nothing that another member satisfies."""
        if self._normal is None:
            self._normal = normalise([*self._exact, *(prefix + "*" for prefix in self._prefixes)])
        return self._normal

    def beginning(self, *texts: str) -> tuple[str, ...]:
        """Return the normal form of those members that begin with one of `texts`; the others are not sorted for it."""
        found = [scope for scope in self._exact if scope.startswith(texts)]
        patterns = (prefix + "*" for prefix in self._prefixes)
        return normalise([*found, *(scope for scope in patterns if scope.startswith(texts))])

    def __iter__(self) -> Iterator[str]:
        return iter(self.scopes)

    def __len__(self) -> int:
        return len(self.scopes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ScopeSet) and self.scopes == other.scopes

    def __hash__(self) -> int:
        return hash(self.scopes)

    def __repr__(self) -> str:
        return f"ScopeSet({list(self.scopes)!r})"


def split(scopes: Iterable[str]) -> tuple[set[str], set[str]]:
    """Return the scopes without a trailing `*`, and the others without it."""
    exact: set[str] = set()
    prefixes: set[str] = set()
    for scope in scopes:
        if scope.endswith("*"):
            prefixes.add(scope[:-1])
        else:
            exact.add(scope)
    return exact, prefixes


@dataclass(frozen=True, slots=True, init=False)
class AllOf:
    """Satisfied when every part is; with no part it is true."""

    parts: tuple[Expression, ...]

    def __init__(self, *parts: Expression) -> None:
        object.__setattr__(self, "parts", parts)


@dataclass(frozen=True, slots=True, init=False)
class AnyOf:
    """Satisfied when one part is; with no part it is false."""

    parts: tuple[Expression, ...]

    def __init__(self, *parts: Expression) -> None:
        object.__setattr__(self, "parts", parts)


Expression = str | AllOf | AnyOf
"""What a request needs: one scope, or a combination."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the answer is no: `need` is what was asked for, `unsatisfied` the part of it that is missing."""

    need: Expression
    unsatisfied: Expression

    def message(self, who: str) -> str:
        """Return the text for the caller `who`: what is missing and how to get it."""
        return (
            f"{who} does not have the scopes this needs. Missing:\n\n{render(self.unsatisfied)}\n\n"
            "To get them: ask someone who holds them to add them to a role or client of yours, and see "
            "`liftlock access explain` (POST /api/auth/v1/explain) for the roles that give them."
        )


def decide(held: ScopeSet, need: Expression) -> Refusal | None:
    """Return None when `held` satisfies `need`, else the refusal with what is missing."""
    missing = _missing(held, need)
    return None if missing is None else Refusal(need, missing)


def _missing(held: ScopeSet, need: Expression) -> Expression | None:
    match need:
        case str():
            return None if held.satisfies(need) else need
        case AllOf():
            lacking = [part for part in (_missing(held, each) for each in need.parts) if part is not None]
            if not lacking:
                return None
            return lacking[0] if len(lacking) == 1 else AllOf(*lacking)
        case AnyOf():
            choices: list[Expression] = []
            for each in need.parts:
                part = _missing(held, each)
                if part is None:
                    return None
                choices.append(part)
            return choices[0] if len(choices) == 1 else AnyOf(*choices)
        case _:
            assert_never(need)


def to_wire(expression: Expression) -> Any:
    """Return `expression` as JSON: a string, `{"AllOf": [...]}` or `{"AnyOf": [...]}`."""
    match expression:
        case str():
            return expression
        case AllOf():
            return {"AllOf": [to_wire(part) for part in expression.parts]}
        case AnyOf():
            return {"AnyOf": [to_wire(part) for part in expression.parts]}
        case _:
            assert_never(expression)


def render(expression: Expression) -> str:
    """Return `expression` as indented JSON text; a single scope as itself."""
    if isinstance(expression, str):
        return expression
    return msgspec.json.format(msgspec.json.encode(to_wire(expression)), indent=2).decode()


def parse_expression(value: object, *, depth: int = MAX_EXPRESSION_DEPTH) -> Expression:
    """Return the expression that the JSON `value` states.

    Raises:
        InputInvalidError: neither a scope, nor an object of exactly one of AllOf and AnyOf that lists expressions;
            or more than `MAX_EXPRESSION_DEPTH` levels.
    """
    if isinstance(value, str):
        if not is_scope(value):
            raise InputInvalidError(f"scope {value[:64]!r}: expected printable ASCII")
        return value
    if depth == 0:
        raise InputInvalidError(f"scope expression: more than {MAX_EXPRESSION_DEPTH} levels")
    if isinstance(value, dict) and len(value) == 1:
        [(kind, parts)] = value.items()
        if kind in ("AllOf", "AnyOf") and isinstance(parts, list):
            parsed = [parse_expression(part, depth=depth - 1) for part in parts]
            return AllOf(*parsed) if kind == "AllOf" else AnyOf(*parsed)
    raise InputInvalidError('scope expression: expected a scope, {"AllOf": [...]} or {"AnyOf": [...]}')
