"""Who can reach which scopes by causing things to happen, on what is stored now (A16).

Searches give other requests their turn every few places. Source: docs/reference/access.md#escalation-paths
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate, takewhile
from typing import Final

from liftlock.domain.scopes.escalation import EscalationGraph, Hunt, PushRight, Reached, given_of
from liftlock.domain.scopes.roles import ANONYMOUS, ASSUME
from liftlock.domain.scopes.satisfaction import ScopeSet
from liftlock.errors import NotFoundError
from liftlock.ports.hook_store import HookStore
from liftlock.services.access_snapshot import AccessCache, Snapshot
from liftlock.services.authorize import Caller

SEE_ALL: Final = ("auth:expand-scopes", "auth:list-clients", "auth:list-roles", "hooks:list-hooks:*")
"""What it takes to ask about anybody but oneself, or with assumed rights to push."""
MAX_FOUND: Final = 1000
"""Places, or starts of each kind, in one answer."""
MAX_SCOPES_SHOWN: Final = 5000
MAX_STEPS_SHOWN: Final = 20_000
"""Of all paths in one answer together, for each kind of start."""
HOOKS_KNOWN_FOR: Final = timedelta(seconds=2)
_PLACES_A_TURN: Final = 64


@dataclass(frozen=True, slots=True)
class Start:
    """From where to search: `client_id`, or `role_id`, or `scopes`; nothing given means the caller."""

    client_id: str | None = None
    role_id: str | None = None
    scopes: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Sight:
    """What of an answer the asking caller may see: `all_of_it`, or what its own scopes show."""

    caller: Caller
    all_of_it: bool

    def place(self, reached: Reached) -> bool:
        """Tell whether the caller may see the name of the place."""
        if self.all_of_it or not reached.steps:
            return True
        step = reached.steps[-1]
        name = step.place.name
        if step.place.kind == "client":
            return self._may("auth:list-clients") or self._may(f"auth:get-client:{name}")
        group, _, hook = name.partition("/")
        return (
            self._may(step.needed)
            or self._may(f"hooks:list-hooks:{group}")
            or self._may(f"hooks:get:{group}:{hook}")
        )

    def scopes(self, reached: Reached) -> bool:
        """Tell whether the caller may see the scopes of the place: one's own always."""
        return (
            not reached.steps or self.all_of_it or (self._may("auth:expand-scopes") and self.place(reached))
        )

    def _may(self, scope: str) -> bool:
        return self.caller.satisfies(scope)


@dataclass(frozen=True, slots=True)
class Path:
    """The shortest path; `given` is the scope at its end that covers what was asked for, or lies below it."""

    reached: Reached
    given: str


@dataclass(frozen=True, slots=True)
class PathAnswer:
    """`path` None: there is none."""

    start: Start
    sight: Sight
    path: Path | None


@dataclass(frozen=True, slots=True)
class ReachAnswer:
    """The places, the nearest first, the start among them; `scopes` of those whose scopes the caller may see, together.

    `hidden`: places whose scopes are left out. `truncated`: there are more than `MAX_FOUND` places, more than
    `MAX_STEPS_SHOWN` steps to them, or more than `MAX_SCOPES_SHOWN` scopes.
    """

    start: Start
    sight: Sight
    places: tuple[Reached, ...]
    scopes: tuple[str, ...]
    hidden: int
    truncated: bool


@dataclass(frozen=True, slots=True)
class WhoAnswer:
    """Paths by client and by role, the shortest first.

    `truncated`: there are more than `MAX_FOUND` of a kind, or their paths have more than `MAX_STEPS_SHOWN` steps.
    """

    clients: tuple[tuple[str, Path], ...]
    roles: tuple[tuple[str, Path], ...]
    truncated: bool


class EscalationPaths:
    """Answers for the caller itself; for others only to whoever may see all that the answer is made of."""

    def __init__(self, access: AccessCache, hooks: HookStore) -> None:
        self._access = access
        self._hooks = hooks
        self._names: list[str] = []
        self._names_at: datetime | None = None
        self._graph: tuple[int, list[str], EscalationGraph] | None = None

    async def path(
        self, caller: Caller, start: Start, wanted: str, pushes: tuple[PushRight, ...], now: datetime
    ) -> PathAnswer:
        """Return the shortest path from `start` to anything that `wanted` covers.

        Raises:
            NotFoundError: there is no such client.
        """
        sight = _sight(caller, start, pushes)
        snapshot = await self._access.current(now)
        graph = await self._graph_of(snapshot, pushes, now)
        scopes, name = _scopes_of(snapshot, caller, start)
        found = await _first(Hunt(graph), scopes, name, wanted)
        return PathAnswer(start, sight, found)

    async def reach(
        self, caller: Caller, start: Start, pushes: tuple[PushRight, ...], now: datetime
    ) -> ReachAnswer:
        """Return everything that can be reached from `start`; errors as `path`."""
        sight = _sight(caller, start, pushes)
        snapshot = await self._access.current(now)
        graph = await self._graph_of(snapshot, pushes, now)
        scopes, name = _scopes_of(snapshot, caller, start)
        places: list[Reached] = []
        shown: set[str] = set()
        hidden = steps = 0
        truncated = False
        async for reached in _in_turns(graph.reach(scopes, name=name)):
            steps += len(reached.steps)
            if len(places) == MAX_FOUND or steps > MAX_STEPS_SHOWN:
                truncated = True
                break
            places.append(reached)
            if sight.scopes(reached):
                shown.update(reached.scopes)
            else:
                hidden += 1
        together = ScopeSet(shown).scopes
        truncated = truncated or len(together) > MAX_SCOPES_SHOWN
        return ReachAnswer(start, sight, tuple(places), together[:MAX_SCOPES_SHOWN], hidden, truncated)

    async def who(
        self, caller: Caller, wanted: str, pushes: tuple[PushRight, ...], now: datetime
    ) -> WhoAnswer:
        """Return which clients that may act now, and which roles, reach anything that `wanted` covers."""
        caller.require(list(SEE_ALL))
        snapshot = await self._access.current(now)
        hunt = Hunt(await self._graph_of(snapshot, pushes, now))
        clients: list[tuple[str, Path]] = []
        for client_id, scopes in snapshot.usable(now).items():
            found = await _first(hunt, (*scopes, ANONYMOUS), client_id, wanted)
            if found is not None:
                clients.append((client_id, found))
            await asyncio.sleep(0)
        roles: list[tuple[str, Path]] = []
        for role_id in snapshot.book.role_ids():
            found = await _first(hunt, (ASSUME + role_id, ANONYMOUS), "", wanted)
            if found is not None:
                roles.append((role_id, found))
            await asyncio.sleep(0)
        shown = _nearest(clients), _nearest(roles)
        return WhoAnswer(*shown, truncated=sum(map(len, shown)) < len(clients) + len(roles))

    async def _graph_of(
        self, snapshot: Snapshot, pushes: tuple[PushRight, ...], now: datetime
    ) -> EscalationGraph:
        """Return the graph of the snapshot and of the hooks that there were at most `HOOKS_KNOWN_FOR` ago."""
        if self._names_at is None or not timedelta() <= now - self._names_at < HOOKS_KNOWN_FOR:
            self._names, self._names_at = await self._hooks.names(), now
        names = self._names
        if pushes:
            return EscalationGraph(snapshot.book, names, snapshot.stored(), pushes)
        kept = self._graph
        if kept is None or kept[0] != snapshot.version or kept[1] != names:
            graph = EscalationGraph(snapshot.book, names, snapshot.stored())
            kept = self._graph = (snapshot.version, names, graph)
        return kept[2]


def _sight(caller: Caller, start: Start, pushes: tuple[PushRight, ...]) -> Sight:
    """Return what the caller may see; refuse it what it may not ask.

    An assumed right to push tells what any role gives, so it takes as much as asking about others.
    """
    if pushes or not _is_own(caller, start):
        caller.require(list(SEE_ALL))
    return Sight(caller, caller.satisfies(list(SEE_ALL)))


def _is_own(caller: Caller, start: Start) -> bool:
    return start == Start() or start == Start(client_id=caller.client_id)


def _scopes_of(snapshot: Snapshot, caller: Caller, start: Start) -> tuple[tuple[str, ...], str]:
    """Return the unexpanded scopes of `start`, and the client's id if they are all that a client has."""
    if start.role_id is not None:
        return (ASSUME + start.role_id, ANONYMOUS), ""
    if start.scopes is not None:
        return (*start.scopes, ANONYMOUS), ""
    client_id = caller.client_id if start.client_id is None else start.client_id
    client = snapshot.client(client_id)
    if not _is_own(caller, start):
        if client is None:
            raise NotFoundError(f"client {client_id} does not exist")
        return (*client.scopes, ANONYMOUS), client_id
    whole = client is not None and {*client.scopes, ANONYMOUS} == set(caller.own)
    return caller.own, client_id if whole else ""


async def _first(hunt: Hunt, scopes: Iterable[str], name: str, wanted: str) -> Path | None:
    async for reached in _in_turns(hunt.walk(scopes, name=name)):
        given = given_of(reached.scopes, wanted)
        if given is not None:
            return Path(reached, given)
    return None


async def _in_turns(places: Iterator[Reached]) -> AsyncIterator[Reached]:
    for number, reached in enumerate(places, 1):
        yield reached
        if number % _PLACES_A_TURN == 0:
            await asyncio.sleep(0)


def _nearest(found: list[tuple[str, Path]]) -> tuple[tuple[str, Path], ...]:
    found.sort(key=lambda one: (len(one[1].reached.steps), one[0]))
    sums = accumulate(len(path.reached.steps) for _, path in found)
    fitting = sum(1 for _ in takewhile(lambda steps: steps <= MAX_STEPS_SHOWN, sums))
    return tuple(found[: min(fitting, MAX_FOUND)])
