"""Rows of tasks, read and written: what every script about tasks shares.

A resolution, its events, its dependents' scheduling and its index entries are one transaction. Locks are taken in
the order task, dependents by id, group; who gets it the other way round is run again by the engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from liftlock.adapters.sql.envelope_script import outbox_rows
from liftlock.adapters.sql.index_rows import insert_entry
from liftlock.adapters.sql.script import Script, Sql, Wake
from liftlock.domain.tasks.index_routes import IndexEntry
from liftlock.domain.tasks.lifecycle import (
    RESOLVED,
    Changed,
    DependenciesMet,
    Progress,
    Run,
    decide,
    due_ms,
)
from liftlock.domain.tasks.statuses import Task, status_of
from liftlock.ports.envelope import Event
from liftlock.values.instants import format_ms

COLUMNS = (
    "t.task_id, t.queue_id, t.scheduler_id, t.project_id, t.group_id, t.expires, t.rank, t.routes, t.tags,"
    " t.state, t.runs, t.retries_left, t.unmet, t.retries, t.deadline"
)
"""What `task_of` reads, from a table aliased `t`."""
WIDTH = 15
_MAX_EVENTS = 500
"""Outbox rows of one statement; SQLite and PostgreSQL both bound the number of parameters."""

_runs = msgspec.json.Decoder(tuple[Run, ...]).decode
_routes = msgspec.json.Decoder(tuple[str, ...]).decode
_tags = msgspec.json.Decoder(dict[str, str]).decode
_entries = msgspec.json.Decoder(tuple[IndexEntry, ...]).decode
_encode = msgspec.json.Encoder().encode


def text(value: Any) -> str:
    """Return `value` as the JSON text of a column."""
    return _encode(value).decode()


def task_of(row: tuple[Any, ...]) -> Task:
    """Return the task that the values of COLUMNS hold."""
    state, runs, retries_left, unmet, retries, deadline = row[9:15]
    return Task(
        task_id=row[0],
        task_queue_id=row[1],
        scheduler_id=row[2],
        project_id=row[3],
        task_group_id=row[4],
        expires_ms=row[5],
        rank=row[6],
        routes=_routes(row[7]),
        tags=_tags(row[8]),
        progress=Progress(state, _runs(runs), retries_left, unmet, retries, deadline),
    )


def locked(task_id: str) -> Script[tuple[int, Task] | None]:
    """Return the row's number and the task, locked until the transaction ends; None if there is none."""
    rows = yield Sql(f"SELECT t.id, {COLUMNS} FROM task t WHERE t.task_id = $1 {{for_update}}", (task_id,))  # noqa: S608 -- constants
    return (rows[0][0], task_of(rows[0][1:])) if rows else None


def due_of(progress: Progress, expires_ms: int) -> int:
    """Return when the sweep next looks at the task."""
    due = due_ms(progress)
    return expires_ms if due is None else due


def channel(queue_id: str) -> str:
    """Return the wake-up channel of a queue."""
    return f"queue:{queue_id}"


def store(number: int, before: Task, after: Progress, now_ms: int) -> Script[Task]:
    """Write `after` and all that follows from it; return the task as it now is."""
    events: list[Event] = []
    task = yield from _store_one(number, before, after, events)
    if task.progress.state in RESOLVED and before.progress.state not in RESOLVED:
        yield from _resolved(number, task, now_ms, events)
    yield from publish(events)
    return task


def publish(events: list[Event]) -> Script[None]:
    """Insert the events into the outbox."""
    for start in range(0, len(events), _MAX_EVENTS):
        yield outbox_rows(tuple(events[start : start + _MAX_EVENTS]))


def _store_one(number: int, before: Task, after: Progress, events: list[Event]) -> Script[Task]:
    task = msgspec.structs.replace(before, progress=after)
    yield Sql(
        "UPDATE task SET state = $2, runs = $3, retries_left = $4, unmet = $5, due = $6 WHERE id = $1",
        (
            number,
            after.state,
            text(after.runs),
            after.retries_left,
            after.unmet,
            due_of(after, task.expires_ms),
        ),
    )
    was, runs_before = before.progress.state, len(before.progress.runs)
    new_run = len(after.runs) > runs_before
    if was == "running" and (after.state != "running" or new_run):
        yield Wake(f"log:{task.task_id}/{runs_before - 1}")
    if was == "pending" and (after.state != "pending" or new_run):
        yield Sql("DELETE FROM pending WHERE task = $1", (number,))
    if after.state == "pending" and (was != "pending" or new_run):
        yield from enqueue(number, task)
        events.append(event_of("task-pending", task))
    elif after.state == "running" and was != "running":
        events.append(event_of("task-running", task))
    elif after.state in RESOLVED and was not in RESOLVED:
        events.append(event_of(f"task-{after.state}", task))
    return task


def enqueue(number: int, task: Task) -> Script[None]:
    """Let the task wait in its queue, and wake who waits for work there."""
    yield Sql(
        "INSERT INTO pending(queue_id, rank, task) VALUES ($1, $2, $3)",
        (task.task_queue_id, task.rank, number),
    )
    yield Wake(channel(task.task_queue_id))


def _resolved(number: int, task: Task, now_ms: int, events: list[Event]) -> Script[None]:
    if task.progress.state == "completed":
        rows = yield Sql("SELECT index_entries FROM task_definition WHERE id = $1", (number,))
        for entry in _entries(rows[0][0]):
            yield from insert_entry(entry, task.task_id)
    yield from _satisfy_dependents(task, now_ms, events)
    yield from _notice_group_end(task, events)
    yield Wake(f"task:{task.task_id}")


def _satisfy_dependents(task: Task, now_ms: int, events: list[Event]) -> Script[None]:
    completed = 1 if task.progress.state == "completed" else 0
    rows = yield Sql(
        "UPDATE dependency SET satisfied = 1 WHERE needed = $1 AND satisfied = 0 AND (any_resolution = 1 OR $2 = 1)"
        " RETURNING task_id",
        (task.task_id, completed),
    )
    for (dependent,) in sorted(rows):
        found = yield from locked(dependent)
        if found is None:
            continue
        verdict = decide(found[1].progress, DependenciesMet(1), now_ms)
        if isinstance(verdict, Changed):
            yield from _store_one(found[0], found[1], verdict.after, events)


def _notice_group_end(task: Task, events: list[Event]) -> Script[None]:
    """Add the event that no task of the group is unresolved any more; one resolution at a time looks."""
    yield Sql("SELECT 1 FROM task_group WHERE group_id = $1 {for_update}", (task.task_group_id,))
    rows = yield Sql(
        "SELECT 1 FROM task WHERE group_id = $1 AND state IN ('unscheduled', 'pending', 'running') LIMIT 1",
        (task.task_group_id,),
    )
    if not rows:
        body = {"taskGroupId": task.task_group_id, "schedulerId": task.scheduler_id, "version": 1}
        events.append(Event("task-group-resolved", task.task_group_id, body))


def event_of(topic: str, task: Task) -> Event:
    """Return the message about the task: its status, its last run, and the routes that it is copied to."""
    [event] = events_of((topic,), task)
    return event


def events_of(topics: Sequence[str], task: Task) -> list[Event]:
    """Return one message for each topic, alike but for that: see `event_of`."""
    body: dict[str, Any] = {
        "version": 1,
        "status": status_of(task),
        "task": {"tags": task.tags},
        "routes": list(task.routes),
    }
    if task.progress.runs:
        run = task.progress.runs[-1]
        body["runId"] = run.run_id
        if run.worker_group is not None:
            body["workerGroup"], body["workerId"] = run.worker_group, run.worker_id
        if run.taken_until_ms is not None and run.state == "running":
            body["takenUntil"] = format_ms(run.taken_until_ms)
    return [Event(topic, task.task_id, body) for topic in topics]
