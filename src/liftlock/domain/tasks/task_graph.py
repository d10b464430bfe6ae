"""A graph of tasks before any of them is created: do its dependencies exist, and do its inputs fit its outputs? Pure.

Source: docs/reference/queue.md#check-a-graph
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from liftlock.domain.inputs.piping import Outputs, check_pipes, outputs_of, pipes_of
from liftlock.errors import InputValidationError
from liftlock.values.ids import is_task_id

MAX_TASKS = 10_000
MAX_PROBLEMS = 50


class PlannedTask(msgspec.Struct, frozen=True):
    """A task that is to be created. `dependencies`: keys of the graph, or ids of tasks that exist already."""

    dependencies: tuple[str, ...]
    definition: dict[str, Any]


def planned(value: object) -> dict[str, PlannedTask]:
    """Read `{key: {dependencies: {edge: key} | [key], task: definition}}`, as generators write their graphs.

    Raises:
        InputValidationError: it has another form.
    """
    if not isinstance(value, dict) or not 1 <= len(value) <= MAX_TASKS:
        raise InputValidationError(f"tasks: expected an object of 1 to {MAX_TASKS} tasks")
    found = {}
    for key, one in value.items():
        if not isinstance(one, dict) or not isinstance(one.get("task"), dict):
            raise InputValidationError(f"tasks.{key[:80]}: expected {{dependencies, task}}")
        needed = one.get("dependencies", {})
        needed = list(needed.values()) if isinstance(needed, dict) else needed
        if not isinstance(needed, list) or not all(isinstance(each, str) for each in needed):
            raise InputValidationError(
                f"tasks.{key[:80]}.dependencies: expected an object or a list of the graph's keys"
            )
        found[key] = PlannedTask(tuple(dict.fromkeys(needed)), one["task"])
    return found


def outside(graph: Mapping[str, PlannedTask]) -> list[str]:
    """Return the ids of tasks that the graph depends on and does not hold, sorted, unique."""
    named = {each for one in graph.values() for each in one.dependencies}
    return sorted(each for each in named - set(graph) if is_task_id(each))


def check_graph(graph: Mapping[str, PlannedTask], existing: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return what is wrong with a graph, at most `MAX_PROBLEMS` texts in its order; `existing`: id → definition."""
    problems: list[str] = []
    for key, one in graph.items():
        label = outputs_of(one.definition).label
        missing = [each for each in one.dependencies if each not in graph and each not in existing]
        problems += [
            f"{label[:80]} ({key[:80]}): the dependency {each[:80]!r} is neither in the graph nor created"
            for each in missing
        ]
        made: list[Outputs] = [
            outputs_of(graph[each].definition if each in graph else existing[each])
            for each in one.dependencies
            if each not in missing
        ]
        wrong = check_pipes(pipes_of(one.definition.get("payload")), made)
        problems += [f"{label[:80]} ({key[:80]}): {text}" for text in wrong]
        if len(problems) >= MAX_PROBLEMS:
            return problems[:MAX_PROBLEMS]
    return problems
