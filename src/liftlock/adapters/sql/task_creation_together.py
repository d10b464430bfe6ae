"""Creating several callers' tasks at once, where nothing stands in their way: the joint form of `task_creation`.

Locks are taken in the order that `task_creation` keeps: dependencies by id, then groups by id.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from liftlock.adapters.sql.joint import ALONE, Party, UnjoinedError
from liftlock.adapters.sql.script import Dialect, Each, Rows, Script
from liftlock.adapters.sql.task_creation import insert_all, satisfied_of
from liftlock.domain.tasks.definition import Definition
from liftlock.domain.tasks.index_routes import IndexEntry
from liftlock.values.instants import to_ms


class Creation(NamedTuple):
    """What one call of createTask asks for."""

    definition: Definition
    entries: Sequence[IndexEntry]


def create_together(dialect: Dialect, parties: Sequence[Party]) -> Script[list[Any]]:
    """Give each party its new task; whoever's dependencies, group or id need a closer look is left alone."""
    plain: dict[str, Party] = {}
    for party in parties:
        plain.setdefault(party.item.definition.task_id, party)
    satisfied = yield from _dependencies([party.item.definition for party in plain.values()])
    plain = {task_id: party for task_id, party in plain.items() if task_id in satisfied}
    open_groups = yield from _groups(dialect, [party.item.definition for party in plain.values()])
    made = [party for party in plain.values() if _fits(party.item.definition, open_groups)]
    tasks = yield from insert_all(
        dialect,
        [
            (*party.item, satisfied[party.item.definition.task_id], to_ms(party.envelope.now))
            for party in made
        ],
    )
    if len(tasks) != len(made):
        raise UnjoinedError("a task exists already")
    answers = {id(party): (task, True) for party, task in zip(made, tasks, strict=True)}
    return [answers.get(id(party), ALONE) for party in parties]


def _dependencies(definitions: Sequence[Definition]) -> Script[dict[str, frozenset[str]]]:
    """Return the satisfied dependencies of each task whose dependencies are all there and last long enough."""
    wanted = {needed for one in definitions for needed in one.dependencies if needed != one.task_id}
    rows: Rows = yield Each(
        "SELECT task_id, state, expires FROM task WHERE task_id = $1 {for_share}",
        [(task_id,) for task_id in sorted(wanted)],
    )
    found = {row[0]: row for row in rows}
    satisfied: dict[str, frozenset[str]] = {}
    for one in definitions:
        needed = set(one.dependencies) - {one.task_id}
        deadline_ms = to_ms(one.deadline)
        if all(task_id in found and found[task_id][2] >= deadline_ms for task_id in needed):
            satisfied[one.task_id] = satisfied_of(one, [found[task_id] for task_id in needed])
    return satisfied


def _groups(dialect: Dialect, definitions: Sequence[Definition]) -> Script[dict[str, tuple[str, int | None]]]:
    """Return schedulerId and sealing time of the groups, held; those that were not there are made.

    A group named after a task is expected to be new. If it is not, it is not in the answer, or on SQLite a key breaks.
    """
    shared = sorted({one.task_group_id for one in definitions if one.task_group_id != one.task_id})
    look = "SELECT group_id, scheduler_id, sealed FROM task_group WHERE group_id = $1 {for_share}"
    rows: Rows = yield Each(look, [(group_id,) for group_id in shared])
    known = {row[0]: (row[1], row[2]) for row in rows}
    missing = {
        one.task_group_id: one.scheduler_id for one in reversed(definitions) if one.task_group_id not in known
    }
    insert = "INSERT INTO task_group(group_id, scheduler_id, sealed) VALUES ($1, $2, NULL)"
    if dialect == "sqlite":
        yield Each(insert, sorted(missing.items()))
        return known | {group_id: (scheduler_id, None) for group_id, scheduler_id in missing.items()}
    made: Rows = yield Each(
        f"{insert} ON CONFLICT DO NOTHING RETURNING group_id",
        sorted(missing.items()),
    )
    return known | {group_id: (missing[group_id], None) for (group_id,) in made}


def _fits(definition: Definition, groups: dict[str, tuple[str, int | None]]) -> bool:
    return groups.get(definition.task_group_id) == (definition.scheduler_id, None)
