"""Server-sent events: a page hears that something it shows has changed, and asks for itself again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Final
from urllib.parse import urlencode

from liftlock.errors import RequestArgumentsError
from liftlock.ports.overview_store import Change
from liftlock.services.live_changes import LiveChanges, Matches
from liftlock.values.ids import is_task_id, project_name
from liftlock.web.pages.page import Answer, Page, PageRequest, Raw

EVENT_STREAM: Final = "text/event-stream"
MAX_NAMES: Final = 200
ALL: Final = "*"
"""Instead of the ids of operations: all of them."""
LASTS_S: Final = 600.0
"""A stream ends then; the browser comes back, and who it is and what he may is decided anew."""


def routes(changes: LiveChanges) -> list[Page]:
    """Return the stream of changes."""

    async def follow(request: PageRequest) -> Answer:
        projects, groups = _names(request, "projects"), _names(request, "groups")
        operations = frozenset(_names(request, "operations"))
        if operations:
            request.caller.require("liftlock:list-operations")
        for name in projects:
            request.caller.require(f"pushes:list-pushes:{project_name(name)}")
        for group in groups:
            if not is_task_id(group):
                raise RequestArgumentsError(f"groups: expected task group ids, got {group[:64]!r}")
            request.caller.require(f"queue:list-task-group:{group}")
        wanted_projects, wanted_groups = frozenset(projects), frozenset(groups)

        def matches(change: Change) -> bool:
            if change.group:
                return change.group in wanted_groups
            if change.topic == "operation":
                return change.key in operations or ALL in operations
            return change.key in wanted_projects and change.topic.startswith("push-")

        return stream(_events(changes, matches, last_event(request)))

    return [Page("GET", "/live", follow)]


def live_path(
    after: int,
    *,
    projects: Iterable[str] = (),
    groups: Iterable[str] = (),
    operations: Iterable[str] = (),
) -> str:
    """Return the address of the stream that tells of changes after number `after`."""
    said = {
        "after": str(after),
        "projects": ",".join(projects),
        "groups": ",".join(groups),
        "operations": ",".join(operations),
    }
    return f"/live?{urlencode({name: value for name, value in said.items() if value})}"


async def _events(changes: LiveChanges, matches: Matches, after: int | None) -> AsyncIterator[bytes]:
    """Yield an event for each change, a comment as heartbeat, until `LASTS_S` are over."""
    ends = asyncio.get_running_loop().time() + LASTS_S
    async for number in changes.follow(matches, after):
        if number is None:
            yield b": here\n\n"
        else:
            yield b"id: %d\nevent: change\ndata: {}\n\n" % number
        if asyncio.get_running_loop().time() > ends:
            return


def stream(events: AsyncIterator[bytes]) -> Raw:
    """Return the answer that sends `events`; a proxy in between must not gather them."""
    return Raw(events, EVENT_STREAM, headers={"x-accel-buffering": "no"})


def last_event(request: PageRequest) -> int | None:
    """Return the number of the last event that the browser has, by its header or (first time) the page's own."""
    said = request.headers.get("last-event-id") or request.query.get("after", "")
    return int(said) if said.isascii() and said.isdigit() and len(said) <= 18 else None


def _names(request: PageRequest, name: str) -> list[str]:
    said = [one for one in request.query.get(name, "").split(",") if one]
    if len(said) > MAX_NAMES:
        raise RequestArgumentsError(f"{name}: expected at most {MAX_NAMES} names")
    return said
