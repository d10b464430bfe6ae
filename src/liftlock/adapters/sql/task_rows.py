"""Rows of tasks, read and written: what every script about tasks shares.

A resolution, its events, its dependents' scheduling and its index entries are one transaction. Locks are taken in
the order task, dependents by id, group; who gets it the other way round is run again by the engine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from liftlock.adapters.sql.envelope_script import outbox_rows
from liftlock.adapters.sql.index_rows import insert_entry
from liftlock.adapters.sql.script import Each, Hold, Script, Wake
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
from liftlock.ports.event_log import CHANNEL
from liftlock.values.instants import format_ms

COLUMNS = (
    "t.task_id, t.queue_id, t.scheduler_id, t.project_id, t.group_id, t.expires, t.rank, t.routes, t.tags,"
    " t.state, t.runs, t.retries_left, t.unmet, t.retries, t.deadline"
)
"""What `task_of` reads, from a table aliased `t`."""
WIDTH = 15

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
    return (yield from locked_all([task_id])).get(task_id)


def locked_all(task_ids: Iterable[str]) -> Script[dict[str, tuple[int, Task]]]:
    """Return number and task of those that exist, locked, in the order of their ids, until the transaction ends."""
    rows = yield Each(
        f"SELECT t.id, {COLUMNS} FROM task t WHERE t.task_id = $1 {{for_update}}",  # noqa: S608 -- constants
        [(task_id,) for task_id in sorted(set(task_ids))],
    )
    return {row[1]: (row[0], task_of(row[1:])) for row in rows}


def due_of(progress: Progress, expires_ms: int) -> int:
    """Return when the sweep next looks at the task."""
    due = due_ms(progress)
    return expires_ms if due is None else due


def channel(queue_id: str) -> str:
    """Return the wake-up channel of a queue."""
    return f"queue:{queue_id}"


class Change(NamedTuple):
    """The task of row `number` goes from `before` to `after`; both are from rows that are locked."""

    number: int
    before: Task
    after: Progress


def store(number: int, before: Task, after: Progress, now_ms: int) -> Script[Task]:
    """Write `after` and all that follows from it; return the task as it now is."""
    [task] = yield from store_all([Change(number, before, after)], now_ms)
    return task


def store_all(changes: Sequence[Change], now_ms: int) -> Script[list[Task]]:
    """Write the changes, each of another task, and all that follows from them; return the tasks as they now are."""
    events: list[Event] = []
    tasks = yield from _store_each(changes, events)
    resolved = [
        (change.number, task)
        for change, task in zip(changes, tasks, strict=True)
        if task.progress.state in RESOLVED and change.before.progress.state not in RESOLVED
    ]
    if resolved:
        yield from _resolved(resolved, now_ms, events)
    yield from publish(events)
    return tasks


def publish(events: Sequence[Event]) -> Script[None]:
    """Insert the events into the outbox."""
    if events:
        yield outbox_rows(events)
        yield Wake(CHANNEL)


def _store_each(changes: Sequence[Change], events: list[Event]) -> Script[list[Task]]:
    """Write the changes and the tasks' places in their queues, and add what is to be told of them to `events`."""
    tasks = [msgspec.structs.replace(change.before, progress=change.after) for change in changes]
    yield Each(
        "UPDATE task SET state = $2, runs = $3, retries_left = $4, unmet = $5, due = $6 WHERE id = $1",
        [_changed_values(change) for change in changes],
    )
    gone: list[tuple[int]] = []
    waiting: list[tuple[int, Task]] = []
    for (number, before, after), task in zip(changes, tasks, strict=True):
        was, runs_before = before.progress.state, len(before.progress.runs)
        new_run = len(after.runs) > runs_before
        if was == "running" and (after.state != "running" or new_run):
            yield Wake(f"log:{task.task_id}/{runs_before - 1}")
        if was == "pending" and (after.state != "pending" or new_run):
            gone.append((number,))
        if after.state == "pending" and (was != "pending" or new_run):
            waiting.append((number, task))
            events.append(event_of("task-pending", task))
        elif after.state == "running" and was != "running":
            events.append(event_of("task-running", task))
        elif after.state in RESOLVED and was not in RESOLVED:
            events.append(event_of(f"task-{after.state}", task))
    yield Each("DELETE FROM pending WHERE task = $1", gone)
    yield from enqueue(waiting)
    return tasks


def _changed_values(change: Change) -> tuple[Any, ...]:
    after = change.after
    due = due_of(after, change.before.expires_ms)
    return change.number, after.state, text(after.runs), after.retries_left, after.unmet, due


def enqueue(tasks: Sequence[tuple[int, Task]]) -> Script[None]:
    """Let the tasks, each with its row's number, wait in their queues, and wake who waits for work there."""
    yield Each(
        "INSERT INTO pending(queue_id, rank, task) VALUES ($1, $2, $3)",
        [(task.task_queue_id, task.rank, number) for number, task in tasks],
    )
    for queue_id in {task.task_queue_id for _number, task in tasks}:
        yield Wake(channel(queue_id))


def _resolved(tasks: Sequence[tuple[int, Task]], now_ms: int, events: list[Event]) -> Script[None]:
    completed = {number: task for number, task in tasks if task.progress.state == "completed"}
    rows = yield Each(
        "SELECT id, index_entries FROM task_definition WHERE id = $1 AND index_entries <> '[]'",
        [(number,) for number in completed],
    )
    for number, entries in rows:
        for entry in _entries(entries):
            yield from insert_entry(entry, completed[number].task_id)
    yield from _satisfy_dependents([task for _number, task in tasks], now_ms, events)
    yield from _notice_group_ends([task for _number, task in tasks], events)
    for _number, task in tasks:
        yield Wake(f"task:{task.task_id}")


def _satisfy_dependents(tasks: Sequence[Task], now_ms: int, events: list[Event]) -> Script[None]:
    rows = yield Each(
        "UPDATE dependency SET satisfied = 1 WHERE needed = $1 AND satisfied = 0 AND (any_resolution = 1 OR $2 = 1)"
        " RETURNING task_id",
        [(task.task_id, 1 if task.progress.state == "completed" else 0) for task in tasks],
    )
    met = Counter(row[0] for row in rows)
    found = yield from locked_all(met)
    changes = []
    for task_id, (number, dependent) in found.items():
        verdict = decide(dependent.progress, DependenciesMet(met[task_id]), now_ms)
        if isinstance(verdict, Changed):
            changes.append(Change(number, dependent, verdict.after))
    if changes:
        yield from _store_each(changes, events)


def _notice_group_ends(tasks: Sequence[Task], events: list[Event]) -> Script[None]:
    """Add the event that no task of a group is unresolved any more; one resolution at a time looks."""
    groups = {task.task_group_id: task.scheduler_id for task in tasks}
    ids = [(group_id,) for group_id in sorted(groups)]
    yield Hold("SELECT 1 FROM task_group WHERE group_id = $1 {for_update}", ids)
    rows = yield Each(
        "SELECT group_id FROM task WHERE group_id = $1 AND state IN ('unscheduled', 'pending', 'running') LIMIT 1",
        ids,
    )
    unresolved = {row[0] for row in rows}
    for (group_id,) in ids:
        if group_id not in unresolved:
            body = {"taskGroupId": group_id, "schedulerId": groups[group_id], "version": 1}
            events.append(Event("task-group-resolved", group_id, body))


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
