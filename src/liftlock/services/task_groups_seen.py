"""Task groups as pages show them: what tasks look like (kept in memory, for it never changes) and how they stand."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from liftlock.ports.overview_store import MAX_STANDINGS, Face, OverviewStore, Standing
from liftlock.services.authorize import Caller

FACES_KEPT: Final = 100_000
"""Faces in memory, of all groups; the groups longest unused go first."""
_PAGE: Final = 500

STATES: Final = ("failed", "exception", "running", "pending", "unscheduled", "completed")
"""The order in which states are told: what needs somebody first."""


class GroupSeen(NamedTuple):
    """A group: the faces of its tasks by number, in the order of creation, and each one's state."""

    faces: dict[int, Face]
    states: dict[int, str]


@dataclass(frozen=True, slots=True)
class Symbols:
    """The tasks of one kind in a compact row: (symbol, state, task id, name), and how many more there are."""

    kind: str
    tasks: tuple[tuple[str, str, str, str], ...]
    more: int


@dataclass(frozen=True, slots=True)
class Summary:
    """A group in one row: how many tasks are in each state, and symbols by kind."""

    counts: dict[str, int]
    symbols: tuple[Symbols, ...]

    @property
    def total(self) -> int:
        """How many tasks there are."""
        return sum(self.counts.values())

    @property
    def failed(self) -> int:
        """How many tasks have ended badly."""
        return sum(self.counts.get(state, 0) for state in ("failed", "exception"))

    @property
    def resolved(self) -> int:
        """How many tasks have ended."""
        return sum(self.counts.get(state, 0) for state in ("completed", "failed", "exception"))


class TaskGroupsSeen:
    """Reads groups for pages."""

    def __init__(self, store: OverviewStore) -> None:
        self._store = store
        self._faces: OrderedDict[str, dict[int, Face]] = OrderedDict()
        self._kept = 0
        self._reading = asyncio.Lock()

    async def summaries(self, caller: Caller, groups: Sequence[str], most_symbols: int) -> dict[str, Summary]:
        """Return the summary of each group that exists and that the caller may list."""
        allowed = [group for group in groups if caller.satisfies(f"queue:list-task-group:{group}")]
        states = await self._store.states(allowed)
        found = {}
        for group, standing in states.items():
            if standing:
                faces = await self._of(group, max(standing))
                found[group] = _summary(faces, standing, most_symbols)
        return found

    async def group(self, caller: Caller, group: str) -> GroupSeen:
        """Return the group; empty if it does not exist.

        Raises:
            RefusedError: the caller may not list the group.
        """
        caller.require(f"queue:list-task-group:{group}")
        states = (await self._store.states([group]))[group]
        faces = await self._of(group, max(states)) if states else {}
        return GroupSeen({number: face for number, face in faces.items() if number in states}, states)

    async def standings(self, group: GroupSeen, numbers: Sequence[int]) -> dict[int, Standing]:
        """Return how tasks of the group stand, by number."""
        ids = [group.faces[number].task_id for number in numbers[:MAX_STANDINGS]]
        return {one.number: one for one in (await self._store.standings(ids)).values()}

    async def _of(self, group: str, newest: int) -> dict[int, Face]:
        """Return the faces of the group's tasks by number, read as far as `newest`."""
        known = self._faces.get(group)
        if known is None or newest > max(known, default=0):
            async with self._reading:
                known = await self._read(group, newest)
        if group in self._faces:
            self._faces.move_to_end(group)
        return known

    async def _read(self, group: str, newest: int) -> dict[int, Face]:
        known = self._faces.setdefault(group, {})
        last = max(known, default=0)
        while last < newest:
            page = await self._store.faces(group, last, _PAGE)
            if not page:
                break
            known.update((face.number, face) for face in page)
            self._kept += len(page)
            last = page[-1].number
            await asyncio.sleep(0)
        while self._kept > FACES_KEPT and len(self._faces) > 1:
            _, dropped = self._faces.popitem(last=False)
            self._kept -= len(dropped)
        return known


def _summary(faces: dict[int, Face], states: dict[int, str], most: int) -> Summary:
    counts = Counter(states.values())
    kinds: dict[str, list[tuple[str, str, str, str]]] = {}
    for number in sorted(states):
        face = faces.get(number)
        if face is not None:
            kinds.setdefault(face.kind, []).append((face.symbol, states[number], face.task_id, face.name))
    share = max(3, most // max(1, len(kinds)))
    symbols = tuple(
        Symbols(kind, tuple(_worst_first(tasks)[:share]), max(0, len(tasks) - share))
        for kind, tasks in list(kinds.items())[:most]
    )
    return Summary({state: counts[state] for state in STATES if counts[state]}, symbols)


def _worst_first(tasks: list[tuple[str, str, str, str]]) -> list[tuple[str, str, str, str]]:
    return sorted(tasks, key=lambda task: STATES.index(task[1]))
