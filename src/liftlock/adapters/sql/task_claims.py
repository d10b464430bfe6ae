"""Claiming: the next tasks of a queue go to a worker, each to one."""

from __future__ import annotations

from typing import Any

import msgspec

from liftlock.adapters.sql.script import Dialect, Rows, Script, Sql
from liftlock.adapters.sql.task_rows import COLUMNS, due_of, event_of, locked, publish, store, task_of, text
from liftlock.adapters.sql.worker_rows import quarantined_until, seen
from liftlock.domain.tasks.lifecycle import Changed, Claim, Conflict, decide
from liftlock.domain.tasks.statuses import Task
from liftlock.errors import ConflictError, NotFoundError, StorageError
from liftlock.ports.task_store import Claimed
from liftlock.values.json import decode


class NothingToClaimError(StorageError):
    """Undoes the transaction: a request that got nothing has not used its nonce. Never leaves the store."""


def claim_script(
    dialect: Dialect, queue_id: str, count: int, claim: Claim, now_ms: int
) -> Script[list[Claimed]]:
    """Return one to `count` tasks of the queue, now claimed; raises NothingToClaimError if there are none."""
    until = yield from quarantined_until(queue_id, claim.worker_group, claim.worker_id)
    if until is not None and now_ms < until:
        raise NothingToClaimError("quarantined")
    lock = "FOR UPDATE OF p, t SKIP LOCKED" if dialect == "postgresql" else ""
    rows = yield Sql(
        f"SELECT p.seq, t.id, d.document, {COLUMNS} FROM pending p JOIN task t ON t.id = p.task"  # noqa: S608 -- constants
        " JOIN task_definition d ON d.id = t.id"
        f" WHERE p.queue_id = $1 AND t.deadline > $2 ORDER BY p.rank, p.seq LIMIT $3 {lock}",
        (queue_id, now_ms, count),
    )
    claimed = [_claimed(row, claim, now_ms) for row in rows]
    if not claimed:
        raise NothingToClaimError("no work")
    yield from _write(dialect, rows, claimed)
    yield from publish([event_of("task-running", one.task) for one in claimed])
    runs = [{"taskId": one.task.task_id, "runId": len(one.task.progress.runs) - 1} for one in claimed]
    yield from seen(queue_id, claim.worker_group, claim.worker_id, runs, now_ms)
    return claimed


def _claimed(row: tuple[Any, ...], claim: Claim, now_ms: int) -> Claimed:
    task = task_of(row[3:])
    verdict = decide(task.progress, claim, now_ms)
    if not isinstance(verdict, Changed):
        raise ConflictError(f"task {task.task_id} waits in its queue and can not be claimed")
    return Claimed(msgspec.structs.replace(task, progress=verdict.after), decode(row[2].encode()))


def _write(dialect: Dialect, rows: Rows, claimed: list[Claimed]) -> Script[None]:
    changes = [
        (row[1], text(one.task.progress.runs), due_of(one.task.progress, one.task.expires_ms))
        for row, one in zip(rows, claimed, strict=True)
    ]
    if dialect == "postgresql":
        yield Sql(
            "WITH gone AS (DELETE FROM pending WHERE seq = ANY($1::bigint[]))"
            " UPDATE task SET state = 'running', runs = c.runs, due = c.due"
            " FROM unnest($2::bigint[], $3::text[], $4::bigint[]) AS c(id, runs, due) WHERE task.id = c.id",
            ([row[0] for row in rows], *([change[part] for change in changes] for part in range(3))),
        )
        return
    for row, (number, runs, due) in zip(rows, changes, strict=True):
        yield Sql("DELETE FROM pending WHERE seq = $1", (row[0],))
        yield Sql("UPDATE task SET state = 'running', runs = $2, due = $3 WHERE id = $1", (number, runs, due))


def claim_one_script(task_id: str, run_id: int, claim: Claim, now_ms: int) -> Script[Claimed]:
    """Return the task with its pending run `run_id` claimed."""
    found = yield from locked(task_id)
    if found is None:
        raise NotFoundError(f"task {task_id} does not exist")
    number, task = found
    yield from _expect_free(task, run_id, claim, now_ms)
    verdict = decide(task.progress, claim, now_ms)
    if not isinstance(verdict, Changed):
        message = verdict.message if isinstance(verdict, Conflict) else "the task is claimed already"
        raise ConflictError(f"task {task_id}: {message}")
    after = yield from store(number, task, verdict.after, now_ms)
    yield from seen(
        task.task_queue_id,
        claim.worker_group,
        claim.worker_id,
        [{"taskId": task_id, "runId": run_id}],
        now_ms,
    )
    rows = yield Sql("SELECT document FROM task_definition WHERE id = $1", (number,))
    return Claimed(after, decode(rows[0][0].encode()))


def _expect_free(task: Task, run_id: int, claim: Claim, now_ms: int) -> Script[None]:
    if task.progress.state != "pending" or run_id != len(task.progress.runs) - 1:
        raise ConflictError(f"run {run_id} of task {task.task_id} is not waiting to be claimed")
    until = yield from quarantined_until(task.task_queue_id, claim.worker_group, claim.worker_id)
    if until is not None and now_ms < until:
        raise ConflictError(f"worker {claim.worker_group}/{claim.worker_id} is quarantined and gets no tasks")
