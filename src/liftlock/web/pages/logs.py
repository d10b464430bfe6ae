"""The log of a run: any part of it by line, searched on the server, followed while it grows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from liftlock.domain.tasks.log_lines import html_of, note_of
from liftlock.ports.task_store import TaskStore
from liftlock.services.log_views import LogViews, OpenLog
from liftlock.services.task_queries import TaskQueries
from liftlock.values.json import encode
from liftlock.web.pages.live import LASTS_S, stream
from liftlock.web.pages.page import Answer, Page, PageRequest, Raw, Shown, number
from liftlock.web.pages.tasks import heading, task_seen

FIRST_LINES: Final = 300
MAX_LINES: Final = 1_000
MAX_HITS: Final = 500
MAX_SENT: Final = 400
"""Lines in one event; who is further behind is told the number and asks."""
MAX_TEXT: Final = 200
_JSON: Final = "application/json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Step:
    """What the worker said, and how long it took until its next line."""

    line: int
    text: str
    at: datetime
    lasted: timedelta | None


class Logs:
    """Answers for logs."""

    def __init__(self, store: TaskStore, queries: TaskQueries, views: LogViews) -> None:
        self._store = store
        self._queries = queries
        self._views = views

    def routes(self) -> list[Page]:
        """Return the pages."""
        return [
            Page("GET", "/tasks/{task}/runs/{run}/log", self.show),
            Page("GET", "/tasks/{task}/runs/{run}/log/lines", self.lines),
            Page("GET", "/tasks/{task}/runs/{run}/log/search", self.search),
            Page("GET", "/tasks/{task}/runs/{run}/log/events", self.events),
        ]

    async def _open(self, request: PageRequest) -> OpenLog:
        return await self._views.open(request.caller, request.params["task"], _run(request), request.now)

    async def show(self, request: PageRequest) -> Answer:
        found = await task_seen(self._store, self._queries, request)
        opened = await self._open(request)
        text = request.query.get("q", "")[:MAX_TEXT]
        wanted = request.query.get("line")
        last = max(0, opened.file.lines - FIRST_LINES)
        start = (
            number(wanted, 1, 2**40, "line") - 1 if wanted else (0 if opened.whole or opened.name else last)
        )
        start = max(0, min(start, max(0, opened.file.lines - 1)))
        hits = await asyncio.to_thread(opened.file.search, text.encode(), 0, MAX_HITS) if text else None
        shown = await _html(opened, start, FIRST_LINES)
        error = opened.file.first_error
        return Shown(
            "log.html",
            {
                **heading(found),
                "run": _run(request),
                "base": f"/tasks/{found.task.task_id}/runs/{_run(request)}/log",
                "lines": list(enumerate(shown, start)),
                "start": start,
                "count": len(shown),
                "known": opened.file.lines,
                "size": opened.file.size,
                "whole": opened.whole,
                "artifact": opened.name,
                "q": text,
                "hits": None if hits is None else [(line, await _one(opened, line)) for line in hits.lines],
                "more_hits": hits is not None and hits.more,
                "error": None if error is None else (error, await _one(opened, error)),
                "steps": _steps(opened),
                "window": FIRST_LINES,
            },
        )

    async def lines(self, request: PageRequest) -> Answer:
        opened = await self._open(request)
        start = number(request.query.get("start"), 0, 2**40, "start")
        count = number(request.query.get("count"), FIRST_LINES, MAX_LINES, "count")
        return _json({"start": start, "lines": await _html(opened, start, count), **_state(opened)})

    async def search(self, request: PageRequest) -> Answer:
        opened = await self._open(request)
        text = request.query.get("q", "")[:MAX_TEXT]
        after = number(request.query.get("start"), 0, 2**40, "start")
        found = await asyncio.to_thread(opened.file.search, text.encode(), after, MAX_HITS)
        return _json({"lines": list(found.lines), "more": found.more, **_state(opened)})

    async def events(self, request: PageRequest) -> Answer:
        opened = await self._open(request)
        said = request.headers.get("last-event-id") or request.query.get("after")
        known = number(said, opened.file.lines, 2**40, "after")
        return stream(self._events(opened, request.params["task"], _run(request), known))

    async def _events(self, opened: OpenLog, task_id: str, run_id: int, known: int) -> AsyncIterator[bytes]:
        """Yield new lines with the number of lines as the event's id; the unfinished last line is sent again."""
        ends = asyncio.get_running_loop().time() + LASTS_S
        async for lines in self._views.follow(opened, task_id, run_id, known):
            if lines is None:
                yield b": here\n\n"
            else:
                start = max(0, known - 1)
                body: dict[str, Any] = {"start": start, "lines": [], **_state(opened)}
                if lines - start <= MAX_SENT:
                    body["lines"] = await _html(opened, start, lines - start)
                known = lines
                yield b"id: %d\nevent: lines\ndata: %s\n\n" % (known, encode(body))
            if asyncio.get_running_loop().time() > ends:
                return
        yield b"event: whole\ndata: %s\n\n" % encode(_state(opened))


def _run(request: PageRequest) -> int:
    return number(request.params["run"], 0, 10**6, "run")


def _json(value: Any) -> Raw:
    return Raw(encode(value), _JSON)


def _state(opened: OpenLog) -> dict[str, Any]:
    return {"known": opened.file.lines, "whole": opened.whole, "bytes": opened.file.size}


async def _html(opened: OpenLog, start: int, count: int) -> list[str]:
    return [html_of(line) for line in await asyncio.to_thread(opened.file.read, start, count)]


async def _one(opened: OpenLog, line: int) -> str:
    found = opened.file.read(line, 1)
    return html_of(found[0]) if found else ""


def _steps(opened: OpenLog) -> list[Step]:
    notes = [(line, note) for line, text in opened.file.notes if (note := note_of(text)) is not None]
    return [
        Step(
            line,
            note.text[:200],
            note.at,
            notes[place + 1][1].at - note.at if place + 1 < len(notes) else None,
        )
        for place, (line, note) in enumerate(notes)
    ]
