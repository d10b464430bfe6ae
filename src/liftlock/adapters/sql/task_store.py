"""The store of tasks on both databases."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.joint import ALONE, Join, Party
from liftlock.adapters.sql.script import Dialect, Rows, Script, Sql
from liftlock.adapters.sql.task_claims import (
    Demand,
    NothingToClaimError,
    claim_one_script,
    claim_script,
    claim_together,
)
from liftlock.adapters.sql.task_creation import create_script
from liftlock.adapters.sql.task_creation_together import Creation, create_together
from liftlock.adapters.sql.task_rows import (
    COLUMNS,
    WIDTH,
    Change,
    event_of,
    locked,
    locked_all,
    publish,
    store,
    store_all,
    task_of,
)
from liftlock.adapters.sql.task_sweep import sweep_script
from liftlock.adapters.sql.worker_rows import quarantined_until
from liftlock.domain.tasks.definition import Definition
from liftlock.domain.tasks.index_routes import IndexEntry
from liftlock.domain.tasks.lifecycle import RESOLVED, Changed, Claim, Conflict, TaskEvent, decide
from liftlock.domain.tasks.statuses import Task
from liftlock.errors import ConflictError, NotFoundError
from liftlock.ports.envelope import Envelope, Event
from liftlock.ports.task_store import Claimed, GroupInfo, Prospect, QueueEntry, StoredTask
from liftlock.values.instants import to_ms
from liftlock.values.json import decode

_STORED = f"SELECT t.id, d.document, {COLUMNS} FROM task t JOIN task_definition d ON d.id = t.id"  # noqa: S608 -- constants
_UNRESOLVED = "state IN ('unscheduled', 'pending', 'running')"


class SqlTaskStore:
    """Implements `ports.task_store.TaskStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def create(
        self, definition: Definition, entries: Sequence[IndexEntry], envelope: Envelope
    ) -> tuple[Task, bool]:
        dialect, now_ms = self._engine.dialect, to_ms(envelope.now)
        return await self._engine.write(
            lambda: create_script(dialect, definition, entries, now_ms),
            envelope,
            Join(create_together, Creation(definition, entries)),
        )

    async def task(self, task_id: str) -> Task | None:
        def script() -> Script[Task | None]:
            rows = yield Sql(f"SELECT {COLUMNS} FROM task t WHERE t.task_id = $1", (task_id,))  # noqa: S608 -- constants
            return task_of(rows[0]) if rows else None

        return await self._engine.read(script)

    async def document(self, task_id: str) -> msgspec.Raw | None:
        def script() -> Script[msgspec.Raw | None]:
            rows = yield Sql(
                "SELECT d.document FROM task t JOIN task_definition d ON d.id = t.id WHERE t.task_id = $1",
                (task_id,),
            )
            return msgspec.Raw(rows[0][0].encode()) if rows else None

        return await self._engine.read(script)

    async def stored(self, task_ids: Sequence[str]) -> list[StoredTask]:
        ids, wanted = list(task_ids), "SELECT value FROM json_each($1)"
        given: Any = json.dumps(ids)
        if self._engine.dialect == "postgresql":
            wanted, given = "SELECT unnest($1::text[])", ids

        def script() -> Script[list[StoredTask]]:
            return _stored((yield Sql(f"{_STORED} WHERE t.task_id IN ({wanted})", (given,))))

        found = {one.task.task_id: one for one in await self._engine.read(script)}
        return [found[task_id] for task_id in ids if task_id in found]

    async def transition(self, task_id: str, event: TaskEvent, envelope: Envelope) -> Task:
        return await self._engine.write(
            lambda: _transition(task_id, event, to_ms(envelope.now)),
            envelope,
            Join(_transition_together, (task_id, event)),
        )

    async def prospect(self, queue_id: str, worker_group: str, worker_id: str, now_ms: int) -> Prospect:
        def script() -> Script[Prospect]:
            until = yield from quarantined_until(queue_id, worker_group, worker_id)
            rows = yield Sql("SELECT 1 FROM pending WHERE queue_id = $1 LIMIT 1", (queue_id,))
            return Prospect(has_work=bool(rows), quarantined=until is not None and now_ms < until)

        return await self._engine.read(script)

    async def claim(
        self, queue_id: str, worker_group: str, worker_id: str, count: int, until_ms: int, envelope: Envelope
    ) -> list[Claimed]:
        dialect, now_ms = self._engine.dialect, to_ms(envelope.now)
        demand = Demand(queue_id, count, Claim(worker_group, worker_id, until_ms))
        try:
            return await self._engine.write(
                lambda: claim_script(dialect, demand, now_ms), envelope, Join(claim_together, demand)
            )
        except NothingToClaimError:
            return []

    async def claim_one(
        self, task_id: str, run_id: int, worker_group: str, worker_id: str, until_ms: int, envelope: Envelope
    ) -> Claimed:
        claim, now_ms = Claim(worker_group, worker_id, until_ms), to_ms(envelope.now)
        return await self._engine.write(lambda: claim_one_script(task_id, run_id, claim, now_ms), envelope)

    async def change_rank(self, task_id: str, rank: int, envelope: Envelope) -> Task:
        return await self._engine.write(lambda: _change_rank(task_id, rank), envelope)

    async def unresolved_of(self, group_id: str, after_number: int, limit: int) -> list[tuple[int, str]]:
        def script() -> Script[list[tuple[int, str]]]:
            rows = yield Sql(
                f"SELECT id, task_id FROM task WHERE group_id = $1 AND id > $2 AND {_UNRESOLVED} ORDER BY id LIMIT $3",  # noqa: S608 -- constants
                (group_id, after_number, limit),
            )
            return [(row[0], row[1]) for row in rows]

        return await self._engine.read(script)

    async def group(self, group_id: str) -> GroupInfo | None:
        return await self._engine.read(lambda: _group(group_id))

    async def seal(self, group_id: str, envelope: Envelope) -> GroupInfo:
        def script() -> Script[GroupInfo]:
            rows = yield Sql(
                "UPDATE task_group SET sealed = $2 WHERE group_id = $1 AND sealed IS NULL RETURNING scheduler_id",
                (group_id, to_ms(envelope.now)),
            )
            info = yield from _group(group_id)
            if info is None:
                raise NotFoundError(f"task group {group_id} does not exist")
            if rows:
                body = {"taskGroupId": group_id, "schedulerId": info.scheduler_id, "version": 1}
                yield from publish([Event("task-group-sealed", group_id, body)])
            return info

        return await self._engine.write(script, envelope)

    async def tasks_of_group(self, group_id: str, after_number: int, limit: int) -> list[StoredTask]:
        def script() -> Script[list[StoredTask]]:
            rows = yield Sql(
                f"{_STORED} WHERE t.group_id = $1 AND t.id > $2 ORDER BY t.id LIMIT $3",
                (group_id, after_number, limit),
            )
            return _stored(rows)

        return await self._engine.read(script)

    async def dependents(self, task_id: str, after_number: int, limit: int) -> list[StoredTask]:
        def script() -> Script[list[StoredTask]]:
            rows = yield Sql(
                f"{_STORED} JOIN dependency e ON e.task_id = t.task_id"
                " WHERE e.needed = $1 AND t.id > $2 ORDER BY t.id LIMIT $3",
                (task_id, after_number, limit),
            )
            return _stored(rows)

        return await self._engine.read(script)

    async def pending(self, queue_id: str, after_number: int, limit: int) -> list[QueueEntry]:
        def script() -> Script[list[QueueEntry]]:
            rows = yield Sql(
                f"SELECT p.seq, d.document, {COLUMNS} FROM pending p JOIN task t ON t.id = p.task"  # noqa: S608 -- constants
                " JOIN task_definition d ON d.id = t.id"
                " WHERE p.queue_id = $1 AND p.seq > $2 ORDER BY p.seq LIMIT $3",
                (queue_id, after_number, limit),
            )
            return _entries(rows)

        return await self._engine.read(script)

    async def claimed(self, queue_id: str, after_number: int, limit: int) -> list[QueueEntry]:
        def script() -> Script[list[QueueEntry]]:
            rows = yield Sql(
                f"{_STORED} WHERE t.queue_id = $1 AND t.state = 'running' AND t.id > $2 ORDER BY t.id LIMIT $3",
                (queue_id, after_number, limit),
            )
            return _entries(rows)

        return await self._engine.read(script)

    async def counts(self, queue_id: str) -> tuple[int, int]:
        def script() -> Script[tuple[int, int]]:
            pending = yield Sql("SELECT count(*) FROM pending WHERE queue_id = $1", (queue_id,))
            claimed = yield Sql(
                "SELECT count(*) FROM task WHERE queue_id = $1 AND state = 'running'", (queue_id,)
            )
            return pending[0][0], claimed[0][0]

        return await self._engine.read(script)

    async def queues(self) -> list[str]:
        def script() -> Script[list[str]]:
            rows = yield Sql("SELECT queue_id FROM pending UNION SELECT queue_id FROM worker")
            return sorted(row[0] for row in rows)

        return await self._engine.read(script)

    async def has_due(self, now_ms: int) -> bool:
        def script() -> Script[bool]:
            return bool((yield Sql("SELECT 1 FROM task WHERE due <= $1 LIMIT 1", (now_ms,))))

        return await self._engine.read(script)

    async def sweep(self, now_ms: int, limit: int) -> int:
        return await self._engine.write(lambda: sweep_script(now_ms, limit), None)


def _transition(task_id: str, event: TaskEvent, now_ms: int) -> Script[Task]:
    found = yield from locked(task_id)
    if found is None:
        raise NotFoundError(f"task {task_id} does not exist")
    number, task = found
    verdict = decide(task.progress, event, now_ms)
    if isinstance(verdict, Conflict):
        raise ConflictError(f"task {task_id}: {verdict.message}")
    if isinstance(verdict, Changed):
        return (yield from store(number, task, verdict.after, now_ms))
    return task


def _transition_together(_dialect: Dialect, parties: Sequence[Party]) -> Script[list[Any]]:
    """Give each party its task after its event; whoever's event changes nothing, or may not be, is left alone."""
    found = yield from locked_all(party.item[0] for party in parties)
    changes: list[tuple[Party, Change]] = []
    for party in parties:
        task_id, event = party.item
        number, task = found.pop(task_id, (0, None))
        if task is not None:
            verdict = decide(task.progress, event, to_ms(party.envelope.now))
            if isinstance(verdict, Changed):
                changes.append((party, Change(number, task, verdict.after)))
    now_ms = max(to_ms(party.envelope.now) for party in parties)
    tasks = yield from store_all([change for _party, change in changes], now_ms)
    answers = {id(party): task for (party, _change), task in zip(changes, tasks, strict=True)}
    return [answers.get(id(party), ALONE) for party in parties]


def _change_rank(task_id: str, rank: int) -> Script[Task]:
    found = yield from locked(task_id)
    if found is None:
        raise NotFoundError(f"task {task_id} does not exist")
    number, task = found
    if task.progress.state in RESOLVED:
        raise ConflictError(f"task {task_id} is {task.progress.state}; its priority does not matter any more")
    if task.rank == rank:
        return task
    yield Sql("UPDATE task SET rank = $2 WHERE id = $1", (number, rank))
    yield Sql("UPDATE pending SET rank = $2 WHERE task = $1", (number, rank))
    after = msgspec.structs.replace(task, rank=rank)
    yield from publish([event_of("task-priority-changed", after)])
    return after


def _group(group_id: str) -> Script[GroupInfo | None]:
    rows = yield Sql("SELECT scheduler_id, sealed FROM task_group WHERE group_id = $1", (group_id,))
    if not rows:
        return None
    expiry = yield Sql("SELECT max(expires) FROM task WHERE group_id = $1", (group_id,))
    return GroupInfo(group_id, rows[0][0], expiry[0][0] or 0, rows[0][1])


def _stored(rows: Rows) -> list[StoredTask]:
    return [StoredTask(row[0], task_of(row[2 : 2 + WIDTH]), decode(row[1].encode())) for row in rows]


def _entries(rows: Rows) -> list[QueueEntry]:
    return [QueueEntry(row[0], task_of(row[2 : 2 + WIDTH]), decode(row[1].encode())) for row in rows]
