"""Why a set of scopes does or does not satisfy an expression: the same answer for the API, the command line and pages.

The expression becomes a tree. Each leaf is satisfied or missing; a satisfied one shows the chain of roles that gave it,
from a scope the caller holds itself; a missing one shows the roles that would give it.

Source: docs/reference/access.md#explanations
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, assert_never

from liftlock.domain.scopes.roles import ASSUME, RoleBook
from liftlock.domain.scopes.satisfaction import AllOf, AnyOf, Expression, satisfies

MAX_GRANTORS: Final = 20
"""Roles named for one missing scope, at most."""
REDACTED: Final = "(a role you may not see)"


@dataclass(frozen=True, slots=True)
class Step:
    """One link of a chain: holding `held` gives the role `role_id`, and that gives `given`."""

    held: str
    role_id: str
    given: str


@dataclass(frozen=True, slots=True)
class Leaf:
    """One needed scope.

    `by` is the scope that satisfies it and `chain` how it came from a scope of the caller's own (empty: it is one);
    when missing, `by` is None and `grantors` are roles whose own scopes would satisfy it, sorted, at most `MAX_GRANTORS`.
    """

    scope: str
    satisfied: bool
    by: str | None
    chain: tuple[Step, ...]
    grantors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Branch:
    """A combination of needs; `satisfied` says whether it holds as a whole."""

    kind: Literal["AllOf", "AnyOf"]
    satisfied: bool
    parts: tuple[Node, ...]


Node = Leaf | Branch


def everything(_role_id: str) -> bool:
    """Let every role be named: the view of those who may list roles."""
    return True


def explain(
    book: RoleBook, own: Sequence[str], need: Expression, *, visible: Callable[[str], bool] = everything
) -> Node:
    """Return the tree of `need` for a caller whose own, unexpanded scopes are `own`.

    Args:
        visible: Tells whether a role's id may be named; in place of others stands `REDACTED`, and what they take and
            give is hidden with them.
    """
    return _explain(book, _origins(book, own), need, visible)


def _explain(
    book: RoleBook, origins: dict[str, Step | None], need: Expression, visible: Callable[[str], bool]
) -> Node:
    match need:
        case str():
            return _leaf(book, origins, need, visible)
        case AllOf():
            parts = tuple(_explain(book, origins, part, visible) for part in need.parts)
            return Branch("AllOf", all(part.satisfied for part in parts), parts)
        case AnyOf():
            parts = tuple(_explain(book, origins, part, visible) for part in need.parts)
            return Branch("AnyOf", any(part.satisfied for part in parts), parts)
        case _:
            assert_never(need)


def _origins(book: RoleBook, own: Iterable[str]) -> dict[str, Step | None]:
    """Return every scope of the closure with the step that gave it first (None: its own); breadth first, so chains are shortest."""
    origins: dict[str, Step | None] = dict.fromkeys(own)
    pending = list(origins)
    for held in pending:
        for role, parameter in book.matches(held):
            for given in role.given(parameter):
                if given not in origins:
                    origins[given] = Step(held, role.role_id, given)
                    pending.append(given)
    return origins


def _leaf(book: RoleBook, origins: dict[str, Step | None], need: str, visible: Callable[[str], bool]) -> Leaf:
    by = next((scope for scope in origins if satisfies(scope, need)), None)
    if by is None:
        return Leaf(need, satisfied=False, by=None, chain=(), grantors=_grantors(book, need, visible))
    chain: list[Step] = []
    step = origins[by]
    while step is not None:
        chain.append(step)
        step = origins[step.held]
    shown = tuple(_redact(each, visible) for each in reversed(chain))
    return Leaf(need, satisfied=True, by=shown[-1].given if shown else by, chain=shown, grantors=())


def _redact(step: Step, visible: Callable[[str], bool]) -> Step:
    return Step(
        _redact_scope(step.held, visible),
        step.role_id if visible(step.role_id) else REDACTED,
        _redact_scope(step.given, visible),
    )


def _redact_scope(scope: str, visible: Callable[[str], bool]) -> str:
    if not scope.startswith(ASSUME) or visible(scope[len(ASSUME) :]):
        return scope
    return REDACTED


def _grantors(book: RoleBook, need: str, visible: Callable[[str], bool]) -> tuple[str, ...]:
    found: list[str] = []
    for role_id in book.role_ids():
        role = book.role(role_id)
        if role is None or not visible(role_id):
            continue
        fixed = any(satisfies(scope, need) for scope in role.fixed)
        if fixed or any(need.startswith(before) for before, _ in role.patterns):
            found.append(role_id)
            if len(found) == MAX_GRANTORS:
                break
    return tuple(found)
