"""Where a task comes from: the walk from its artifacts to its push, each link green or red, and what the run was given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from liftlock.ports.task_store import TaskStore
from liftlock.services.provenance_seen import ProvenanceSeen, SeeProvenance
from liftlock.services.task_queries import TaskQueries
from liftlock.values.ids import is_task_id
from liftlock.web.pages.page import Answer, Page, PageRequest, Shown
from liftlock.web.pages.tasks import heading, task_seen

MOST_CHECKS: Final = 500
MOST_INPUTS: Final = 300
MOST_REFUSED: Final = 100
SEALINGS: Final = {
    "sealed": "Nothing but verified inputs could be reached.",
    "recorded": "More than verified inputs could be reached; what was reached is recorded.",
    "open": "Any public address could be reached.",
}


@dataclass(frozen=True, slots=True)
class Input:
    """One input as the worker measured it; all of it is the worker's word, as text."""

    name: str
    kind: str
    place: str
    producer: str
    files: tuple[tuple[str, str, str, str], ...]
    """(name, observed sha256, declared sha256 or empty, size)."""


class ProvenancePages:
    """Answers for provenance."""

    def __init__(self, store: TaskStore, queries: TaskQueries, see: SeeProvenance) -> None:
        self._store = store
        self._queries = queries
        self._see = see

    def routes(self) -> list[Page]:
        """Return the pages. Reading everything again takes a POST: a link from elsewhere must not cause the work."""
        return [
            Page("GET", "/tasks/{task}/provenance", self.show),
            Page("POST", "/tasks/{task}/provenance", self.measure),
        ]

    async def show(self, request: PageRequest) -> Answer:
        return await self._show(request, measure=False)

    async def measure(self, request: PageRequest) -> Answer:
        return await self._show(request, measure=True)

    async def _show(self, request: PageRequest, *, measure: bool) -> Answer:
        found = await task_seen(self._store, self._queries, request)
        seen = await self._see(request.caller, found.task.task_id, request.now, measure=measure)
        network = _dict(seen.manifest, "network")
        state = network.get("sealing")
        return Shown(
            "provenance.html",
            {
                **heading(found),
                "seen": seen,
                "links": [(one, is_task_id(one.subject)) for one in seen.checks[:MOST_CHECKS]],
                "red": sum(one.state == "red" for one in seen.checks),
                "unseen": sum(one.state == "unseen" for one in seen.checks),
                "more": len(seen.checks) > MOST_CHECKS,
                "path": _path(seen),
                "sealing": state if state in SEALINGS else None,
                "sealings": SEALINGS,
                "network": network,
                "inputs": _inputs(seen.manifest),
                "refused": _refused(network),
                "reached": _reached(network),
                "failed": _failed(seen.manifest),
                "isolation": _dict(seen.manifest, "isolation"),
                "limits_hit": seen.cut,
            },
        )


def _path(seen: ProvenanceSeen) -> list[tuple[str, str]]:
    """Return the kinds of link in the order of the walk, each with the worst state of its checks."""
    order = ("artifact", "run", "input", "graph", "decision", "push")
    states: dict[str, set[str]] = {link: set() for link in order}
    for one in seen.checks:
        states[one.link].add(one.state)
    return [
        (link, next((state for state in ("red", "green", "unseen") if state in states[link]), "none"))
        for link in order
    ]


def _dict(document: Any, key: str) -> dict[str, Any]:
    found = document.get(key) if isinstance(document, dict) else None
    return found if isinstance(found, dict) else {}


def _list(document: Any, key: str, most: int) -> list[dict[str, Any]]:
    found = document.get(key) if isinstance(document, dict) else None
    return [one for one in found[:most] if isinstance(one, dict)] if isinstance(found, list) else []


def _inputs(manifest: dict[str, Any] | None) -> list[Input]:
    return [
        Input(
            str(one.get("name", ""))[:200],
            str(one.get("kind", ""))[:40],
            str(one.get("mount") or one.get("unpack") or one.get("served") or "")[:200],
            str(_dict(one, "producer").get("taskId", "")),
            tuple(
                (
                    str(file.get("name", ""))[:200],
                    str(file.get("sha256", ""))[:64],
                    ", ".join(str(each)[:64] for each in file.get("declared") or ())[:200],
                    str(file.get("size", "")),
                )
                for file in _list(one, "files", 50)
            ),
        )
        for one in _list(manifest, "inputs", MOST_INPUTS)
    ]


def _refused(network: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what the task tried and was refused: (what, why)."""
    return [
        (
            f"{one.get('method', '')} {one.get('path') or one.get('host', '')}"[:300],
            str(one.get("why", ""))[:300],
        )
        for one in _list(network, "refused", MOST_REFUSED)
    ]


def _reached(network: dict[str, Any]) -> list[str]:
    """Return the places that a run with a network reached, as its worker recorded them."""
    found = network.get("connections")
    listed = found.items() if isinstance(found, dict) else enumerate(found if isinstance(found, list) else ())
    return [
        (f"{key} {value}" if isinstance(found, dict) else str(value))[:300]
        for key, value in list(listed)[:MOST_REFUSED]
    ]


def _failed(manifest: dict[str, Any] | None) -> str | None:
    failed = _dict(manifest, "failed")
    return f"{failed.get('name')}: {failed.get('error')}"[:1_000] if failed else None
