"""A task group: the graph of its tasks, and the same as a table."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from liftlock.domain.pushes.push import Push
from liftlock.errors import NotFoundError, RequestArgumentsError
from liftlock.ports.overview_store import Face, Standing
from liftlock.ports.push_store import PushStore
from liftlock.services.authorize import Caller
from liftlock.services.live_changes import LiveChanges
from liftlock.services.task_groups_seen import STATES, GroupSeen, TaskGroupsSeen
from liftlock.values.ids import is_task_id
from liftlock.values.instants import from_ms, to_ms
from liftlock.web.pages.live import live_path
from liftlock.web.pages.page import Answer, Page, PageRequest, Shown, number
from liftlock.web.pages.task_graph import Shapes, is_privileged

PER_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    face: Face
    state: str
    privileged: bool
    started: datetime | None
    lasted: timedelta | None


class Groups:
    """Answers for task groups."""

    def __init__(self, groups: TaskGroupsSeen, pushes: PushStore, changes: LiveChanges) -> None:
        self._groups = groups
        self._pushes = pushes
        self._changes = changes
        self._shapes = Shapes()

    def routes(self) -> list[Page]:
        """Return the page."""
        return [Page("GET", "/groups/{group}", self.show)]

    async def show(self, request: PageRequest) -> Answer:
        name = request.params["group"]
        if not is_task_id(name):
            raise NotFoundError(f"{name[:64]!r} is no task group's id")
        after = await self._changes.last()
        group = await self._groups.group(request.caller, name)
        if not group.states:
            raise NotFoundError(f"there is no task group {name}")
        kind, state = request.query.get("kind") or None, request.query.get("state") or None
        if state is not None and state not in STATES:
            raise RequestArgumentsError(f"state: expected one of {', '.join(STATES)}")
        wanted = _wanted(group, kind, state)
        start = number(request.query.get("start"), 0, 10**7, "start")
        rows = await self._rows(group, wanted[start : start + PER_PAGE], request.now)
        counts = Counter(group.states.values())
        return Shown(
            "group.html",
            {
                "group": name,
                "push": await push_seen(self._pushes, request.caller, name),
                "graph": self._shapes.graph(name, group, kind),
                "rows": rows,
                "count": len(wanted),
                "total": len(group.states),
                "counts": {one: counts[one] for one in STATES if counts[one]},
                "kinds": sorted(Counter(face.kind for face in group.faces.values()).items()),
                "kind": kind,
                "state": state,
                "start": start,
                "before": request.here_with(start=str(max(0, start - PER_PAGE))) if start else None,
                "after": request.here_with(start=str(start + PER_PAGE))
                if start + PER_PAGE < len(wanted)
                else None,
                "live": live_path(after, groups=[name]),
            },
        )

    async def _rows(self, group: GroupSeen, numbers: list[int], now: datetime) -> list[Row]:
        standings = await self._groups.standings(group, numbers)
        return [_row(group, one, standings.get(one), now) for one in numbers]


async def push_seen(pushes: PushStore, caller: Caller, group: str) -> Push | None:
    """Return the push that brought the group, if there is one and the caller may see it."""
    push = await pushes.push_of_task(group)
    return push if push is not None and caller.satisfies(f"pushes:list-pushes:{push.project}") else None


def _wanted(group: GroupSeen, kind: str | None, state: str | None) -> list[int]:
    """Return the numbers of the tasks that fit, those that need somebody first."""
    found = [
        number
        for number, face in group.faces.items()
        if (kind is None or face.kind == kind) and (state is None or group.states[number] == state)
    ]
    order = {state: place for place, state in enumerate(STATES)}
    return sorted(found, key=lambda number: order[group.states[number]]) if kind or not state else found


def _row(group: GroupSeen, at: int, standing: Standing | None, now: datetime) -> Row:
    face, started, lasted = group.faces[at], None, None
    if standing is not None and standing.started_ms is not None:
        started = from_ms(standing.started_ms)
        end_ms = standing.resolved_ms if standing.resolved_ms is not None else to_ms(now)
        lasted = timedelta(milliseconds=end_ms - standing.started_ms)
    return Row(face, group.states[at], is_privileged(face), started, lasted)
