"""Escalation paths: who can reach which scopes by causing things to happen, and how (A16).

A node holds scopes: whoever asks, a hook's task, or a client. A step leads to a node whose scopes the node before can
put to use: by triggering a hook, by taking its trigger token, by taking over a client, or by pushing to a repository.

Every step needs one scope, one held scope satisfies it, and expansion treats each scope by itself; so what is reached
from a node is what is reached along single paths, and breadth-first search finds the shortest.

The answer is an over-approximation: trigger schemas, templates and checks in tasks, which narrow what a hook can be
made to do, are not looked at. What it leaves out is said too: workers see the credentials of the tasks that they run,
and a task may publish what it knows.

Source: docs/reference/access.md#escalation-paths
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from liftlock.domain.scopes.roles import ASSUME, RoleBook
from liftlock.domain.scopes.satisfaction import ScopeSet, satisfies

Kind = Literal["start", "hook", "client", "push"]
Means = Literal["trigger", "trigger-token", "access-token", "push"]

_OF_HOOKS: tuple[tuple[Means, str], ...] = (
    ("trigger", "hooks:trigger-hook:"),
    ("trigger-token", "hooks:get-trigger-token:"),
    ("trigger-token", "hooks:reset-trigger-token:"),
)
_OF_CLIENTS = "auth:reset-access-token:"


@dataclass(frozen=True, slots=True)
class Place:
    """A node's name: who asks (a client's id, or empty), a hook `<group>/<id>`, a client's id, a repository's role."""

    kind: Kind
    name: str


@dataclass(frozen=True, slots=True)
class PushRight:
    """Outside of liftlock: whoever holds `scope` may push so that tasks run with the role `role_id`."""

    scope: str
    role_id: str


@dataclass(frozen=True, slots=True)
class Step:
    """One step to `place`: it needed `needed`, and `held` of the node before satisfied it."""

    means: Means
    place: Place
    needed: str
    held: str


@dataclass(frozen=True, slots=True)
class Reached:
    """A node that can be reached: the shortest way to it, and the scopes there, expanded."""

    steps: tuple[Step, ...]
    scopes: ScopeSet


def overlaps(held: str, wanted: str) -> bool:
    """Tell whether `held` gives anything of what the pattern `wanted` covers."""
    return satisfies(held, wanted) or satisfies(wanted, held)


class EscalationGraph:
    """All steps that roles, hooks, clients and push rights make possible.

    Args:
        hooks: Their names, `<group>/<id>`.
        clients: Unexpanded scopes by client id, of clients whose token can be reset.
    """

    def __init__(
        self,
        book: RoleBook,
        hooks: Iterable[str],
        clients: Mapping[str, tuple[str, ...]],
        pushes: Iterable[PushRight] = (),
    ) -> None:
        self._book = book
        self._hooks = sorted(set(hooks))
        self._clients = dict(clients)
        self._client_ids = sorted(self._clients)
        self._pushes = tuple(pushes)
        self._scopes: dict[Place, ScopeSet] = {}
        self._steps: dict[Place, tuple[Step, ...]] = {}

    def reach(self, scopes: Iterable[str], *, name: str = "") -> Iterator[Reached]:
        """Yield every node that can be reached from unexpanded `scopes`, the nearest first, itself included."""
        start = Reached((), self._book.expand(scopes))
        seen = {Place("client", name)}
        waiting = deque([start])
        while waiting:
            here = waiting.popleft()
            yield here
            place = here.steps[-1].place if here.steps else Place("start", name)
            for step in self._steps_from(place, here.scopes):
                if step.place not in seen:
                    seen.add(step.place)
                    waiting.append(Reached((*here.steps, step), self._scopes_of(step.place)))

    def path(self, scopes: Iterable[str], wanted: str, *, name: str = "") -> Reached | None:
        """Return the nearest node that holds anything of what `wanted` covers, or None if no path leads to one."""
        for reached in self.reach(scopes, name=name):
            if any(overlaps(held, wanted) for held in reached.scopes):
                return reached
        return None

    def _scopes_of(self, place: Place) -> ScopeSet:
        found = self._scopes.get(place)
        if found is None:
            found = self._scopes[place] = self._book.expand(self._unexpanded(place))
        return found

    def _unexpanded(self, place: Place) -> tuple[str, ...]:
        if place.kind == "client":
            return self._clients[place.name]
        return (f"{ASSUME}hook-id:{place.name}" if place.kind == "hook" else f"{ASSUME}{place.name}",)

    def _steps_from(self, place: Place, scopes: ScopeSet) -> tuple[Step, ...]:
        if place.kind == "start":
            return tuple(self._find(scopes))
        found = self._steps.get(place)
        if found is None:
            found = self._steps[place] = tuple(self._find(scopes))
        return found

    def _find(self, scopes: ScopeSet) -> Iterator[Step]:
        for held in scopes:
            for means, prefix in _OF_HOOKS:
                for name in _covered(held, prefix, self._hooks):
                    yield Step(means, Place("hook", name), prefix + name, held)
            for name in _covered(held, _OF_CLIENTS, self._client_ids):
                yield Step("access-token", Place("client", name), _OF_CLIENTS + name, held)
            for right in self._pushes:
                if satisfies(held, right.scope):
                    yield Step("push", Place("push", right.role_id), right.scope, held)


def _covered(held: str, prefix: str, names: list[str]) -> Iterator[str]:
    """Yield those of the sorted `names` for which `held` satisfies `prefix + name`."""
    if not held.endswith("*"):
        if held.startswith(prefix):
            name = held[len(prefix) :]
            at = bisect_left(names, name)
            if at < len(names) and names[at] == name:
                yield name
        return
    pattern = held[:-1]
    if prefix.startswith(pattern):
        yield from names
    elif pattern.startswith(prefix):
        beginning = pattern[len(prefix) :]
        for at in range(bisect_left(names, beginning), len(names)):
            if not names[at].startswith(beginning):
                return
            yield names[at]
