"""What a change of files lets whom newly reach, by whatever path.

Source: docs/reference/access.md#escalation-paths
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from liftlock.domain.configuration.trails import Start, explained, of_level, starts
from liftlock.domain.configuration.whole import Whole
from liftlock.domain.scopes.escalation import given_of
from liftlock.domain.scopes.satisfaction import ScopeSet


@dataclass(frozen=True, slots=True)
class Gain:
    """Somebody who newly reaches `scopes`; `path` is the shortest to the first of them, in words."""

    who: str
    scopes: tuple[str, ...]
    path: str


def gains(before: Whole, after: Whole) -> Iterator[Gain]:
    """Yield what groups, repositories and clients of `after` reach there and did not reach in `before`, by name.

    Who is new had nothing before, and is yielded with all that he reaches.
    """
    old = {start.who: start for start in _everybody(before)}
    for start in sorted(_everybody(after), key=lambda start: start.who):
        known = old.get(start.who)
        held = ScopeSet(()) if known is None else _reached(before, known)
        more = tuple(scope for scope in _reached(after, start) if not held.satisfies(scope))
        if more:
            yield Gain(start.who, more, _path(after, start, more[0]))


def _everybody(whole: Whole) -> list[Start]:
    found = {start.who: start for level in (1, 2, 3) for start in of_level(whole, level)}
    names = [f"group:{name}" for name in whole.folder.groups]
    for text in [*names, *whole.folder.clients]:
        found |= {start.who: start for start in starts(whole, text) or ()}
    return list(found.values())


def _reached(whole: Whole, start: Start) -> ScopeSet:
    nodes = whole.graph.reach(start.scopes, name=start.client)
    return ScopeSet(scope for node in nodes for scope in node.scopes)


def _path(whole: Whole, start: Start, scope: str) -> str:
    for node in whole.graph.reach(start.scopes, name=start.client):
        given = given_of(node.scopes, scope)
        if given is not None:
            return explained(start.who, scope, node, given)
    return ""
