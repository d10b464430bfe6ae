"""A plan in words and as JSON: the same answer for people and for programs, widening first.

Source: docs/reference/configuration.md#plan
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from liftlock.domain.configuration.difference import Change, Plan
from liftlock.domain.configuration.resources import Resource
from liftlock.values.json import digest

_SIGN = {"create": "+", "update": "~", "delete": "-"}


def plan_wire(plan: Plan) -> dict[str, Any]:
    """Return the plan as JSON; `digest` names exactly this plan."""
    changes = [_change_wire(change) for change in plan.changes]
    return {
        "digest": digest(changes),
        "changes": changes,
        "widening": len(plan.widening),
        "drifted": len(plan.drifted),
        "unchanged": plan.unchanged,
    }


def _change_wire(change: Change) -> dict[str, Any]:
    return {
        "change": change.verb,
        "resource": str(change.key),
        "place": None if change.after is None or change.after.place is None else str(change.after.place),
        "widens": list(change.widens),
        "narrows": list(change.narrows),
        "fields": list(change.fields),
        "drift": change.drift,
        "before": _content(change.before),
        "after": _content(change.after),
    }


def _content(resource: Resource | None) -> dict[str, Any] | None:
    return None if resource is None else resource.content


def summary(plan: Plan) -> str:
    """Return one line that says how much there is."""
    count = {verb: sum(change.verb == verb for change in plan.changes) for verb in _SIGN}
    return (
        f"{count['create']} to create, {count['update']} to change, {count['delete']} to delete, "
        f"{plan.unchanged} unchanged; {len(plan.widening)} widen, {len(plan.drifted)} undo what was changed elsewhere"
    )


def lines(plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield (style, line) of the plan; styles are widens, narrows, drift, plain and title."""
    if plan.widening:
        yield "title", "These let somebody do more than before:"
        for change in plan.widening:
            yield from _lines_of(change)
    rest = [change for change in plan.changes if not change.widens]
    if rest:
        yield "title", "Other changes:"
        for change in rest:
            yield from _lines_of(change)
    yield "title", summary(plan)


def _lines_of(change: Change) -> Iterator[tuple[str, str]]:
    place = f"  ({change.after.place})" if change.after is not None and change.after.place is not None else ""
    yield "plain", f"{_SIGN[change.verb]} {change.key}{place}"
    if change.drift:
        yield "drift", f"    changed beside the files: {', '.join(change.fields) or 'content'}"
    for words in change.widens:
        yield "widens", f"    + {words}"
    for words in change.narrows:
        yield "narrows", f"    - {words}"
    others = [name for name in change.fields if name != "scopes"]
    if change.verb == "update" and others:
        yield "plain", f"    changes: {', '.join(others)}"
