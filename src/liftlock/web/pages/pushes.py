"""Pushes: one row each, the newest first, with what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from liftlock.domain.pushes.push import Push
from liftlock.errors import RequestArgumentsError
from liftlock.ports.overview_store import RecentPushes
from liftlock.services.gate_seen import GateSeen, Opinion
from liftlock.services.live_changes import LiveChanges
from liftlock.services.recent_pushes import FindRecentPushes
from liftlock.services.task_groups_seen import Summary, TaskGroupsSeen
from liftlock.values.ids import project_name
from liftlock.values.instants import to_ms
from liftlock.web.pages.live import live_path
from liftlock.web.pages.page import Answer, Page, PageRequest, Shown, number

PER_PAGE: Final = 20
MOST_SYMBOLS: Final = 40
BAR_WIDTH: Final = 120
FILTERS: Final = ("project", "branch", "owner", "level", "decision", "text")
_DECISIONS: Final = ("pending", "started", "none", "failed")


@dataclass(frozen=True, slots=True)
class Row:
    """One push, and its task group if that exists and may be seen; `bar` are (state, x, width) of its progress.

    `opinion` is the gate's, where it is on this host and the viewer may ask it.
    """

    push: Push
    subject: str
    summary: Summary | None
    bar: tuple[tuple[str, float, float], ...]
    opinion: Opinion | None


def routes(
    find: FindRecentPushes, groups: TaskGroupsSeen, changes: LiveChanges, gate: GateSeen
) -> list[Page]:
    """Return the page of pushes."""

    async def show(request: PageRequest) -> Answer:
        after = await changes.last()
        mine = await find.projects(request.caller)
        wanted = _wanted(request, mine)
        looked = await find(request.caller, wanted)
        more = len(looked.pushes) > PER_PAGE
        found = looked.pushes[:PER_PAGE]
        started = [push.task_id for push in found if push.decision == "started"]
        summaries = await groups.summaries(request.caller, started, MOST_SYMBOLS)
        opinions = await gate.opinions(request.caller, found)
        rows = [
            _row(push, summaries.get(push.task_id), opinions.get((push.project, push.id))) for push in found
        ]
        last = found[-1] if found else None
        return Shown(
            "pushes.html",
            {
                "rows": rows,
                "projects": mine,
                "filters": {name: request.query.get(name, "") for name in FILTERS},
                "decisions": _DECISIONS,
                "live": live_path(after, projects=mine[:100], groups=summaries) if mine else None,
                "older": request.here_with(before=f"{to_ms(last.at)}/{last.project}/{last.id}")
                if more and last
                else None,
                "further": None
                if looked.stopped is None
                else request.here_with(before="/".join(map(str, looked.stopped))),
                "newest": request.here_with(before=None) if request.query.get("before") else None,
            },
        )

    return [Page("GET", "/", show), Page("GET", "/pushes", show)]


def _wanted(request: PageRequest, mine: list[str]) -> RecentPushes:
    query = request.query
    level = query.get("level") or None
    if level not in (None, "1", "2", "3"):
        raise RequestArgumentsError(f"level: expected 1, 2 or 3, got {str(level)[:16]!r}")
    decision = query.get("decision") or None
    if decision is not None and decision not in _DECISIONS:
        raise RequestArgumentsError(f"decision: expected one of {', '.join(_DECISIONS)}")
    return RecentPushes(
        projects=(project_name(query["project"]),) if query.get("project") else tuple(mine),
        branch=query.get("branch") or None,
        owner=query.get("owner") or None,
        text=query.get("text") or None,
        level=None if level is None else int(level),
        decision=decision,
        before=_before(query.get("before")),
        limit=PER_PAGE + 1,
    )


def _before(text: str | None) -> tuple[int, str, int] | None:
    if not text:
        return None
    parts = text.split("/")
    if len(parts) != 3:
        raise RequestArgumentsError(
            "before: expected <time>/<project>/<number>, as the page's own links have it"
        )
    at, name, push_id = parts
    most = 2**53
    return number(at, 0, most, "before"), project_name(name), number(push_id, 0, most, "before")


def _row(push: Push, summary: Summary | None, opinion: Opinion | None) -> Row:
    subject = push.message.strip().splitlines()[0][:200] if push.message.strip() else "(no message)"
    bar: list[tuple[str, float, float]] = []
    if summary is not None:
        x = 0.0
        for state in ("completed", "failed", "exception", "running", "pending", "unscheduled"):
            width = BAR_WIDTH * summary.counts.get(state, 0) / summary.total
            if width:
                bar.append((state, round(x, 2), round(width, 2)))
                x += width
    return Row(push, subject, summary, tuple(bar), opinion)
