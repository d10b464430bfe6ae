"""Claiming: the next tasks of a queue go to a worker, each to one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from liftlock.adapters.sql.joint import ALONE, Party
from liftlock.adapters.sql.script import Dialect, Each, Rows, Script, Sql
from liftlock.adapters.sql.task_rows import COLUMNS, due_of, event_of, locked, publish, store, task_of, text
from liftlock.adapters.sql.worker_rows import Worker, held_workers, seen
from liftlock.domain.tasks.lifecycle import Changed, Claim, Conflict, decide
from liftlock.domain.tasks.statuses import Task
from liftlock.errors import ConflictError, NotFoundError, StorageError
from liftlock.ports.task_store import Claimed
from liftlock.values.instants import to_ms


class NothingToClaimError(StorageError):
    """Undoes the transaction: a request that got nothing has not used its nonce. Never leaves the store."""


class Demand(NamedTuple):
    """What one call of claimWork asks for: up to `most` tasks of the queue."""

    queue_id: str
    most: int
    claim: Claim

    @property
    def worker(self) -> tuple[str, str, str]:
        """The worker's key."""
        return self.queue_id, self.claim.worker_group, self.claim.worker_id


def claim_script(dialect: Dialect, demand: Demand, now_ms: int) -> Script[list[Claimed]]:
    """Return one to `most` tasks of the queue, now claimed; raises NothingToClaimError if there are none."""
    workers = yield from held_workers([demand.worker])
    if now_ms < workers[demand.worker].quarantined_until_ms:
        raise NothingToClaimError("quarantined")
    rows = yield from _waiting(dialect, demand.queue_id, demand.most, now_ms)
    if not rows:
        raise NothingToClaimError("no work")
    [claimed] = yield from _hand_out(dialect, [(demand, rows)], workers, now_ms)
    return claimed


def claim_together(dialect: Dialect, parties: Sequence[Party]) -> Script[list[Any]]:
    """Give each party the tasks that `claim_script` would; whoever is quarantined or gets none is left alone."""
    now_ms = max(to_ms(party.envelope.now) for party in parties)
    workers = yield from held_workers(party.item.worker for party in parties)
    free = [party.item for party in parties if workers[party.item.worker].quarantined_until_ms <= now_ms]
    waiting: dict[str, Rows] = {}
    for queue_id in sorted({demand.queue_id for demand in free}):
        wanted = sum(demand.most for demand in free if demand.queue_id == queue_id)
        waiting[queue_id] = yield from _waiting(dialect, queue_id, wanted, now_ms)
    lots = []
    for demand in free:
        rows = waiting[demand.queue_id]
        if rows:
            waiting[demand.queue_id] = rows[demand.most :]
            lots.append((demand, rows[: demand.most]))
    given = yield from _hand_out(dialect, lots, workers, now_ms)
    answers = {id(demand): claimed for (demand, _rows), claimed in zip(lots, given, strict=True)}
    return [answers.get(id(party.item), ALONE) for party in parties]


def _waiting(dialect: Dialect, queue_id: str, count: int, now_ms: int) -> Script[Rows]:
    """Return the rows of up to `count` tasks that wait in the queue: the most urgent, then those that wait longest."""
    lock = "FOR UPDATE OF p, t SKIP LOCKED" if dialect == "postgresql" else ""
    return (
        yield Sql(
            f"SELECT p.seq, t.id, d.document, {COLUMNS} FROM pending p JOIN task t ON t.id = p.task"  # noqa: S608 -- constants
            " JOIN task_definition d ON d.id = t.id"
            f" WHERE p.queue_id = $1 AND t.deadline > $2 ORDER BY p.rank, p.seq LIMIT $3 {lock}",
            (queue_id, now_ms, count),
        )
    )


def _hand_out(
    dialect: Dialect,
    lots: Sequence[tuple[Demand, Rows]],
    workers: dict[tuple[str, str, str], Worker],
    now_ms: int,
) -> Script[list[list[Claimed]]]:
    """Claim the rows of each lot for its worker; return what each gets."""
    given = [[_claimed(row, demand.claim, now_ms) for row in rows] for demand, rows in lots]
    claimed = [one for lot in given for one in lot]
    yield from _write(dialect, [row for _demand, rows in lots for row in rows], claimed)
    yield from publish([event_of("task-running", one.task) for one in claimed])
    busy: dict[tuple[str, str, str], Worker] = {}
    for (demand, _rows), lot in zip(lots, given, strict=True):
        worker = busy.get(demand.worker) or workers[demand.worker]
        runs = [{"taskId": one.task.task_id, "runId": len(one.task.progress.runs) - 1} for one in lot]
        busy[demand.worker] = worker._replace(recent=(*worker.recent, *runs))
    yield from seen(busy.values(), now_ms)
    return given


def _claimed(row: tuple[Any, ...], claim: Claim, now_ms: int) -> Claimed:
    task = task_of(row[3:])
    verdict = decide(task.progress, claim, now_ms)
    if not isinstance(verdict, Changed):
        raise ConflictError(f"task {task.task_id} waits in its queue and can not be claimed")
    return Claimed(msgspec.structs.replace(task, progress=verdict.after), msgspec.Raw(row[2].encode()))


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
    yield Each("DELETE FROM pending WHERE seq = $1", [(row[0],) for row in rows])
    yield Each("UPDATE task SET state = 'running', runs = $2, due = $3 WHERE id = $1", changes)


def claim_one_script(task_id: str, run_id: int, claim: Claim, now_ms: int) -> Script[Claimed]:
    """Return the task with its pending run `run_id` claimed."""
    found = yield from locked(task_id)
    if found is None:
        raise NotFoundError(f"task {task_id} does not exist")
    number, task = found
    worker = yield from _expect_free(task, run_id, claim, now_ms)
    verdict = decide(task.progress, claim, now_ms)
    if not isinstance(verdict, Changed):
        message = verdict.message if isinstance(verdict, Conflict) else "the task is claimed already"
        raise ConflictError(f"task {task_id}: {message}")
    after = yield from store(number, task, verdict.after, now_ms)
    run = {"taskId": task_id, "runId": run_id}
    yield from seen([worker._replace(recent=(*worker.recent, run))], now_ms)
    rows = yield Sql("SELECT document FROM task_definition WHERE id = $1", (number,))
    return Claimed(after, msgspec.Raw(rows[0][0].encode()))


def _expect_free(task: Task, run_id: int, claim: Claim, now_ms: int) -> Script[Worker]:
    """Return the worker; raises ConflictError if the run does not wait to be claimed, or the worker is quarantined."""
    if task.progress.state != "pending" or run_id != len(task.progress.runs) - 1:
        raise ConflictError(f"run {run_id} of task {task.task_id} is not waiting to be claimed")
    key = (task.task_queue_id, claim.worker_group, claim.worker_id)
    worker = (yield from held_workers([key]))[key]
    if now_ms < worker.quarantined_until_ms:
        raise ConflictError(f"worker {claim.worker_group}/{claim.worker_id} is quarantined and gets no tasks")
    return worker
