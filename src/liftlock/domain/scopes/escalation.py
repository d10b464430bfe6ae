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
from typing import Literal, NamedTuple

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
_STEPS: tuple[tuple[Means, str], ...] = (*_OF_HOOKS, ("access-token", _OF_CLIENTS))
_BEGINNINGS = ("hooks:", "auth:r", *(prefix[:n] + "*" for prefix in ("hooks:", "auth:r") for n in range(6)))
"""Every scope that opens a step, but for a push, begins with one of these."""
_KIND_OF: dict[Means, Kind] = {
    "trigger": "hook",
    "trigger-token": "hook",
    "access-token": "client",
    "push": "push",
}


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


def given_of(scopes: ScopeSet, wanted: str) -> str | None:
    """Return the first of `scopes` that overlaps `wanted`, or None; a few bisections, however many there are."""
    if scopes.satisfies(wanted):
        return next(held for held in scopes if satisfies(held, wanted))
    if not wanted.endswith("*"):
        return None
    at = bisect_left(scopes.scopes, wanted[:-1])
    if at < len(scopes.scopes) and scopes.scopes[at].startswith(wanted[:-1]):
        return scopes.scopes[at]
    return None


class _Way(NamedTuple):
    """Steps of one means that `held` opens: to the names `low` up to `high` of its kind."""

    means: Means
    prefix: str
    held: str
    low: int
    high: int


class _Unseen:
    """Which of a list's indices were not taken yet; passing over those that were costs next to nothing."""

    __slots__ = ("_next",)

    def __init__(self, following: list[int]) -> None:
        self._next = following

    @classmethod
    def all_of(cls, size: int) -> _Unseen:
        return cls(list(range(size + 1)))

    def copy(self) -> _Unseen:
        return _Unseen(self._next.copy())

    def take(self, low: int, high: int) -> Iterator[int]:
        """Yield and take every index from `low` up to `high` that was not taken."""
        at = self._first(low)
        while at < high:
            self._next[at] = at + 1
            yield at
            at = self._first(at + 1)

    def _first(self, at: int) -> int:
        following = self._next
        while following[at] != at:
            following[at] = following[following[at]]
            at = following[at]
        return at


class EscalationGraph:
    """All steps that roles, hooks, clients and push rights make possible. Immutable but for memoised answers.

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
        self._clients = dict(clients)
        self._pushes = tuple(pushes)
        self._names: dict[Kind, list[str]] = {
            "hook": sorted(set(hooks)),
            "client": sorted(self._clients),
            "push": sorted({right.role_id for right in self._pushes}),
        }
        self._pushed_by = self._places_pushed()
        self._scopes: dict[Place, ScopeSet] = {}
        self._ways: dict[Place, tuple[_Way, ...]] = {}

    def reach(self, scopes: Iterable[str], *, name: str = "") -> Iterator[Reached]:
        """Yield every node that can be reached from unexpanded `scopes`, the nearest first, itself included.

        Args:
            name: The client whose scopes these are: taking it over leads nowhere new.
        """
        return Hunt(self).walk(scopes, name=name)

    def path(self, scopes: Iterable[str], wanted: str, *, name: str = "") -> Reached | None:
        """Return the nearest node that holds anything of what `wanted` covers, or None if no path leads to one."""
        for reached in self.reach(scopes, name=name):
            if given_of(reached.scopes, wanted) is not None:
                return reached
        return None

    def unseen(self) -> dict[Kind, _Unseen]:
        """Return that no place was seen yet."""
        return {kind: _Unseen.all_of(len(names)) for kind, names in self._names.items()}

    def start(self, scopes: Iterable[str], name: str, unseen: dict[Kind, _Unseen]) -> Reached:
        """Return the node of whoever holds `scopes`, the client `name` taken."""
        low, high = _covered(f"{_OF_CLIENTS}{name}", _OF_CLIENTS, self._names["client"])
        for _ in unseen["client"].take(low, high):
            pass
        return Reached((), self._book.expand(scopes))

    def next_to(self, here: Reached, unseen: dict[Kind, _Unseen]) -> Iterator[Reached]:
        """Yield, and take, every place that one step from `here` leads to and that was not seen."""
        for way in self._ways_from(here):
            kind = _KIND_OF[way.means]
            for at in unseen[kind].take(way.low, way.high):
                name = self._names[kind][at]
                needed = way.prefix if kind == "push" else way.prefix + name
                step = Step(way.means, Place(kind, name), needed, way.held)
                yield Reached((*here.steps, step), self._scopes_of(step.place))

    def _scopes_of(self, place: Place) -> ScopeSet:
        found = self._scopes.get(place)
        if found is None:
            found = self._scopes[place] = self._book.expand(self._unexpanded(place))
        return found

    def _unexpanded(self, place: Place) -> tuple[str, ...]:
        if place.kind == "client":
            return self._clients[place.name]
        return (f"{ASSUME}hook-id:{place.name}" if place.kind == "hook" else f"{ASSUME}{place.name}",)

    def _ways_from(self, here: Reached) -> tuple[_Way, ...]:
        if not here.steps:
            return tuple(self._find(here.scopes))
        place = here.steps[-1].place
        found = self._ways.get(place)
        if found is None:
            found = self._ways[place] = tuple(self._find(here.scopes))
        return found

    def _find(self, scopes: ScopeSet) -> Iterator[_Way]:
        for held in scopes.beginning(*_BEGINNINGS):
            for means, prefix in _STEPS:
                low, high = _covered(held, prefix, self._names[_KIND_OF[means]])
                if low < high:
                    yield _Way(means, prefix, held, low, high)
        for needed, places in self._pushed_by.items():
            if scopes.satisfies(needed):
                held = next(scope for scope in scopes if satisfies(scope, needed))
                for low, high in places:
                    yield _Way("push", needed, held, low, high)

    def _places_pushed(self) -> dict[str, list[tuple[int, int]]]:
        """Return by the scope that lets push: from where up to where in the sorted roles of pushes."""
        found: dict[str, list[tuple[int, int]]] = {}
        for right in sorted(self._pushes, key=lambda right: right.role_id):
            at = bisect_left(self._names["push"], right.role_id)
            runs = found.setdefault(right.scope, [])
            if runs and runs[-1][1] >= at:
                runs[-1] = runs[-1][0], at + 1
            else:
                runs.append((at, at + 1))
        return found


class Hunt:
    """Walks for one thing from many starts. Whoever finds it stops the walk.

    A walk that came to its end found nothing, so later ones leave out what it saw.
    """

    def __init__(self, graph: EscalationGraph) -> None:
        self._graph = graph
        self._unseen = graph.unseen()

    def walk(self, scopes: Iterable[str], *, name: str = "") -> Iterator[Reached]:
        """Yield what `EscalationGraph.reach` does, but for what walks before this one saw in vain."""
        unseen = {kind: one.copy() for kind, one in self._unseen.items()}
        waiting = deque([self._graph.start(scopes, name, unseen)])
        while waiting:
            here = waiting.popleft()
            yield here
            waiting.extend(self._graph.next_to(here, unseen))
        self._unseen = unseen


def _covered(held: str, prefix: str, names: list[str]) -> tuple[int, int]:
    """Return from where up to where in the sorted `names` `held` satisfies `prefix + name`."""
    if not held.endswith("*"):
        if not held.startswith(prefix):
            return 0, 0
        name = held[len(prefix) :]
        at = bisect_left(names, name)
        return at, at + (at < len(names) and names[at] == name)
    pattern = held[:-1]
    if prefix.startswith(pattern):
        return 0, len(names)
    if not pattern.startswith(prefix):
        return 0, 0
    beginning = pattern[len(prefix) :]
    low = bisect_left(names, beginning)
    return low, bisect_left(names, True, low, key=lambda name: not name.startswith(beginning))
