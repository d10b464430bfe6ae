"""Which grants were used when somebody did what needed a scope: those that sufficed, and what led to them.

One's own scopes come first: if one of them satisfies the need, no role was used, or whoever holds `*` would use all there
are. Else every grant that would have sufficed was. So what was never used can be taken away, all of it together, and nothing
that was done stops working.

Source: docs/reference/access.md#unused-scopes
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from liftlock.domain.scopes.roles import RoleBook
from liftlock.domain.scopes.satisfaction import AllOf, AnyOf, Expression


class Grant(NamedTuple):
    """A scope as it is stored, and who has it stored: `role/<id>`, `client/<id>`, or nobody (`""`)."""

    holder: str
    scope: str


class Grants:
    """Everything that leads from `own`, unexpanded scopes that `holder` has stored, to what they expand to."""

    def __init__(self, book: RoleBook, own: Sequence[str], holder: str = "") -> None:
        self._own = {Grant(holder, scope) for scope in own}
        self._exact: dict[str, list[Grant]] = {}
        self._prefixes: dict[str, list[Grant]] = {}
        self._leads: dict[str, list[Grant]] = {}
        pending = [(Grant(holder, scope), scope) for scope in own]
        seen = set(pending)
        while pending:
            grant, given = pending.pop()
            where = self._prefixes if given.endswith("*") else self._exact
            where.setdefault(given.removesuffix("*"), []).append(grant)
            for role, parameter in book.matches(given):
                self._leads.setdefault(f"role/{role.role_id}", []).append(grant)
                for stored, further in zip(role.stored_scopes(), role.given(parameter), strict=True):
                    item = (Grant(f"role/{role.role_id}", stored), further)
                    if item not in seen:
                        seen.add(item)
                        pending.append(item)
        self._lengths = sorted({len(prefix) for prefix in self._prefixes})

    def exercised(self, need: str) -> set[Grant]:
        """Return the own scopes that satisfy `need`; if none does, all grants that do, and those by which their roles were had."""
        pending = list(self._satisfying(need))
        found = self._own.intersection(pending)
        if found:
            return found
        while pending:
            grant = pending.pop()
            if grant not in found:
                found.add(grant)
                pending += self._leads.get(grant.holder, ())
        return found

    def _satisfying(self, need: str) -> Iterator[Grant]:
        if not need.endswith("*"):
            yield from self._exact.get(need, ())
        bare = need.removesuffix("*") if need.endswith("*") else need
        for length in self._lengths:
            if length <= len(bare):
                yield from self._prefixes.get(bare[:length], ())


def leaves(need: Expression) -> Iterator[str]:
    """Yield the scopes that `need` names."""
    match need:
        case str():
            yield need
        case AllOf() | AnyOf():
            for part in need.parts:
                yield from leaves(part)


def unused(
    stored: Iterable[tuple[str, Sequence[str]]], used: Iterable[tuple[str, str]]
) -> list[tuple[str, tuple[str, ...]]]:
    """Return (holder, its scopes that are not in `used`), those that have any, by holder.

    Args:
        stored: holder → all its scopes.
        used: (holder, scope) of each that was used.
    """
    known = set(used)
    found = [
        (holder, tuple(scope for scope in scopes if (holder, scope) not in known))
        for holder, scopes in stored
    ]
    return sorted((holder, scopes) for holder, scopes in found if scopes)
