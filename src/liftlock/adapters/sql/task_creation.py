"""Creating a task: one transaction that checks its group and its dependencies and lets it wait or run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from liftlock.adapters.sql.script import Dialect, Each, Rows, Script, Sql, Wake
from liftlock.adapters.sql.task_rows import (
    COLUMNS,
    channel,
    due_of,
    enqueue,
    events_of,
    publish,
    task_of,
    text,
)
from liftlock.domain.tasks.definition import Definition, rank_of
from liftlock.domain.tasks.dependencies import ALL_RESOLVED, is_satisfied
from liftlock.domain.tasks.index_routes import IndexEntry
from liftlock.domain.tasks.lifecycle import begin
from liftlock.domain.tasks.statuses import Task
from liftlock.errors import ConflictError, InputInvalidError
from liftlock.ports.envelope import Event
from liftlock.ports.event_log import CHANNEL
from liftlock.values.instants import format_ms, to_ms
from liftlock.values.json import decode

_SHOWN = 5
"""Ids named in an error message."""


def create_script(
    dialect: Dialect, definition: Definition, entries: Sequence[IndexEntry], now_ms: int
) -> Script[tuple[Task, bool]]:
    """Return the task and whether it was created now; an equal one that exists is the answer too."""
    while True:
        # Whoever resolves a task locks it and then its group: so dependencies are locked before the group.
        hold = not definition.dependencies
        group, exists = yield from _look(dialect, definition, hold=hold)
        if exists:
            return (yield from _existing(definition)), False
        satisfied = yield from _dependencies(dialect, definition)
        if group is None:
            group = yield from _make_group(dialect, definition)
        elif not hold and dialect == "postgresql":
            group = (yield from _look(dialect, definition, hold=True))[0] or group
        _expect_open(definition, *group)
        made = yield from insert_all(dialect, [(definition, entries, satisfied, now_ms)])
        if made:
            return made[0], True


_Group = tuple[str, int | None]
"""A group's schedulerId, and when it was sealed."""


def _look(dialect: Dialect, definition: Definition, *, hold: bool) -> Script[tuple[_Group | None, bool]]:
    """Return the task's group, held open until the transaction ends if `hold`, and whether the task exists."""
    share = " FOR SHARE" if hold and dialect == "postgresql" else ""
    rows = yield Sql(
        "SELECT 1, scheduler_id, sealed FROM"  # noqa: S608 -- constant
        f" (SELECT scheduler_id, sealed FROM task_group WHERE group_id = $1{share}) g"
        " UNION ALL SELECT 2, task_id, NULL FROM task WHERE task_id = $2",
        (definition.task_group_id, definition.task_id),
    )
    found = {row[0]: (row[1], row[2]) for row in rows}
    return found.get(1), 2 in found


def _existing(definition: Definition) -> Script[Task]:
    rows = yield Sql(
        f"SELECT d.document, {COLUMNS} FROM task t JOIN task_definition d ON d.id = t.id WHERE t.task_id = $1",  # noqa: S608 -- constants
        (definition.task_id,),
    )
    if not rows or not definition.same_as(decode(rows[0][0].encode())):
        raise ConflictError(f"task {definition.task_id} exists with a different definition")
    return task_of(rows[0][1:])


def _dependencies(dialect: Dialect, definition: Definition) -> Script[frozenset[str]]:
    """Return which dependencies are satisfied already; their rows are locked against resolving meanwhile."""
    wanted = set(definition.dependencies) - {definition.task_id}
    if not wanted:
        return frozenset()
    if dialect == "postgresql":
        rows = yield Sql(
            "SELECT task_id, state, expires FROM task WHERE task_id = ANY($1::text[]) ORDER BY task_id FOR SHARE",
            (sorted(wanted),),
        )
    else:
        rows = yield Sql(
            "SELECT t.task_id, t.state, t.expires FROM json_each($1) d CROSS JOIN task t ON t.task_id = d.value",
            (json.dumps(sorted(wanted)),),
        )
    missing = sorted(wanted - {row[0] for row in rows})
    if missing:
        raise InputInvalidError(
            f"dependencies: {_some(missing)} do not exist; create a task's dependencies before the task"
        )
    deadline_ms = to_ms(definition.deadline)
    early = sorted(row[0] for row in rows if row[2] < deadline_ms)
    if early:
        raise InputInvalidError(
            f"dependencies: {_some(early)} expire before this task's deadline {format_ms(deadline_ms)}"
        )
    return satisfied_of(definition, rows)


def satisfied_of(definition: Definition, rows: Rows) -> frozenset[str]:
    """Return which dependencies, of rows that begin with task id and state, count as satisfied for this task."""
    return frozenset(row[0] for row in rows if is_satisfied(definition.requires, row[1]))


def _some(ids: list[str]) -> str:
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return ", ".join(ids[:_SHOWN]) + more


def _make_group(dialect: Dialect, definition: Definition) -> Script[_Group]:
    yield Sql(
        "INSERT INTO task_group(group_id, scheduler_id, sealed) VALUES ($1, $2, NULL) ON CONFLICT DO NOTHING",
        (definition.task_group_id, definition.scheduler_id),
    )
    group, _exists = yield from _look(dialect, definition, hold=True)
    if group is None:
        raise ConflictError(f"task group {definition.task_group_id} vanished; repeat the request")
    return group


def _expect_open(definition: Definition, scheduler_id: str, sealed: int | None) -> None:
    if scheduler_id != definition.scheduler_id:
        raise ConflictError(
            f"task group {definition.task_group_id} belongs to schedulerId {scheduler_id!r},"
            f" not {definition.scheduler_id!r}; a group has one schedulerId"
        )
    if sealed is not None:
        raise ConflictError(
            f"task group {definition.task_group_id} was sealed at {format_ms(sealed)}; create a new group"
        )


New = tuple[Definition, Sequence[IndexEntry], frozenset[str], int]
"""A task to insert: definition, index entries, satisfied dependencies, and the time in milliseconds since 1970."""


def insert_all(dialect: Dialect, new: Sequence[New]) -> Script[list[Task]]:
    """Insert tasks whose groups are held; return them in order.

    Of those whose ids exist nothing is there or returned on PostgreSQL; on SQLite it breaks a key.
    """
    tasks = [
        _new_task(definition, len(definition.dependencies) - len(met), at) for definition, _, met, at in new
    ]
    if dialect == "postgresql":
        rows = yield Each(
            _INSERT_ALL_AT_ONCE, [_values_at_once(*pair) for pair in zip(new, tasks, strict=True)]
        )
    else:
        rows = yield from _insert_tasks(tasks)
    numbers: dict[str, int] = {task_id: number for number, task_id in rows}
    made = [pair for pair in zip(new, tasks, strict=True) if pair[1].task_id in numbers]
    for (definition, _, met, _), _task in made:
        if definition.dependencies:
            yield _edges(dialect, definition, met)
    if dialect == "sqlite":
        yield from _insert_rest(made, numbers)
    if made and dialect == "postgresql":
        yield Wake(CHANNEL)
    for queue_id in {task.task_queue_id for _, task in made if task.progress.state == "pending"}:
        yield Wake(channel(queue_id))
    return [task for _, task in made]


def _insert_tasks(tasks: Sequence[Task]) -> Script[Rows]:
    """Insert the tasks, none of which may be there, and return their numbers and ids.

    The numbers are chosen here, as SQLite would choose them: only one writes, and to be told them costs as much again.
    """
    newest = yield Sql("SELECT seq FROM sqlite_sequence WHERE name = 'task'")
    first = newest[0][0] + 1 if newest else 1
    yield Each(
        _INSERT_NUMBERED_TASK,
        [(*_values_of(task), number) for number, task in enumerate(tasks, first)],
    )
    return [(number, task.task_id) for number, task in enumerate(tasks, first)]


def _insert_rest(made: Sequence[tuple[New, Task]], numbers: dict[str, int]) -> Script[None]:
    """Insert what _INSERT_ALL_AT_ONCE inserts beside the task."""
    yield Each(
        "INSERT INTO task_definition(id, document, index_entries) VALUES ($1, $2, $3)",
        [(numbers[task.task_id], text(one[0].document), text(one[1])) for one, task in made],
    )
    yield from enqueue(
        [(numbers[task.task_id], task) for _, task in made if task.progress.state == "pending"]
    )
    yield from publish([event for _, task in made for event in _events_of(task)])


def _events_of(task: Task) -> list[Event]:
    pending = task.progress.state == "pending"
    return events_of(("task-defined", "task-pending") if pending else ("task-defined",), task)


_COLUMNS = (
    "task_id, queue_id, scheduler_id, project_id, group_id, expires, rank, routes, tags, state,"
    " runs, retries_left, unmet, retries, deadline, due"
)
_VALUES = "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16"
_INSERT_NUMBERED_TASK = f"INSERT INTO task({_COLUMNS}, id) VALUES ({_VALUES}, $17)"  # noqa: S608 -- constants
_INSERT_TASK = f"INSERT INTO task({_COLUMNS}) VALUES ({_VALUES}) ON CONFLICT (task_id) DO NOTHING"  # noqa: S608 -- constants


def _values_of(task: Task) -> tuple[Any, ...]:
    """Return the parameters of _VALUES."""
    progress = task.progress
    return (
        task.task_id,
        task.task_queue_id,
        task.scheduler_id,
        task.project_id,
        task.task_group_id,
        task.expires_ms,
        task.rank,
        text(task.routes),
        text(task.tags),
        progress.state,
        text(progress.runs),
        progress.retries_left,
        progress.unmet,
        progress.retries,
        progress.deadline_ms,
        due_of(progress, task.expires_ms),
    )


_INSERT_ALL_AT_ONCE = (
    f"WITH t AS ({_INSERT_TASK} RETURNING id, task_id, queue_id, rank, state),"  # noqa: S608 -- constants
    " d AS (INSERT INTO task_definition(id, document, index_entries) SELECT id, $17, $18 FROM t),"
    " p AS (INSERT INTO pending(queue_id, rank, task)"
    " SELECT queue_id, rank, id FROM t WHERE state = 'pending'),"
    " o AS (INSERT INTO outbox(topic, key, body) SELECT e.topic, $1, e.body"
    " FROM t, unnest($19::text[], $20::text[]) WITH ORDINALITY AS e(topic, body, place) ORDER BY e.place)"
    " SELECT id, task_id FROM t"
)
"""The task with its definition, its place in the queue and its events."""


def _values_at_once(one: New, task: Task) -> tuple[Any, ...]:
    """Return the parameters of _INSERT_ALL_AT_ONCE."""
    events = _events_of(task)
    return (
        *_values_of(task),
        text(one[0].document),
        text(one[1]),
        [event.topic for event in events],
        [text(event.body) for event in events],
    )


def _new_task(definition: Definition, unmet: int, now_ms: int) -> Task:
    return Task(
        task_id=definition.task_id,
        task_queue_id=definition.task_queue_id,
        scheduler_id=definition.scheduler_id,
        project_id=definition.project_id,
        task_group_id=definition.task_group_id,
        expires_ms=to_ms(definition.expires),
        rank=rank_of(definition.priority),
        routes=definition.routes,
        tags=definition.tags,
        progress=begin(
            retries=definition.retries, deadline_ms=to_ms(definition.deadline), unmet=unmet, now_ms=now_ms
        ),
    )


def _edges(dialect: Dialect, definition: Definition, satisfied: frozenset[str]) -> Sql:
    anyhow = 1 if definition.requires == ALL_RESOLVED else 0
    edges = [(needed, 1 if needed in satisfied else 0) for needed in definition.dependencies]
    if dialect == "postgresql":
        return Sql(
            "INSERT INTO dependency(needed, task_id, any_resolution, satisfied)"
            " SELECT e.needed, $1, $2, e.satisfied FROM unnest($3::text[], $4::bigint[]) AS e(needed, satisfied)",
            (definition.task_id, anyhow, [edge[0] for edge in edges], [edge[1] for edge in edges]),
        )
    return Sql(
        "INSERT INTO dependency(needed, task_id, any_resolution, satisfied)"
        " SELECT json_extract(e.value, '$[0]'), $1, $2, json_extract(e.value, '$[1]') FROM json_each($3) e",
        (definition.task_id, anyhow, json.dumps(edges)),
    )
