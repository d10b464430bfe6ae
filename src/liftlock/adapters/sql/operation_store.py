"""Operations and approvals in SQL."""

from __future__ import annotations

from typing import Any

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.operation_rows import OPERATION_COLUMNS, approval_of, frozen_text, operation_of
from liftlock.adapters.sql.script import Script, Sql
from liftlock.domain.approvals.approval import Approval
from liftlock.errors import ConflictError, NotFoundError
from liftlock.ports.envelope import Envelope
from liftlock.ports.operation_store import Move, OperationQuery, OperationRecord
from liftlock.values.instants import to_ms
from liftlock.values.json import encode

_SELECT = f"SELECT {OPERATION_COLUMNS} FROM operation"  # noqa: S608 -- constant columns


class SqlOperationStore:
    """Implements `ports.operation_store.OperationStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def operation(self, operation_id: str) -> OperationRecord | None:
        return await self._one("operation_id = $1", operation_id)

    async def by_key(self, requester: str, request_key: str) -> OperationRecord | None:
        return await self._one("requester = $1 AND request_key = $2", requester, request_key)

    async def by_stage_two(self, task_id: str) -> OperationRecord | None:
        return await self._one("stage2_task_id = $1", task_id)

    async def operations(self, query: OperationQuery) -> list[OperationRecord]:
        wheres, args = _conditions(query)
        text = f"{_SELECT} WHERE {' AND '.join(wheres)} ORDER BY number DESC LIMIT ${len(args) + 1}"
        return await self._many(text, *args, query.limit)

    async def unfinished(self, after_number: int, limit: int) -> list[OperationRecord]:
        return await self._many(
            f"{_SELECT} WHERE state IN ('building', 'waiting', 'scheduled') AND number > $1 ORDER BY number LIMIT $2",
            after_number,
            limit,
        )

    async def move(self, move: Move, envelope: Envelope) -> OperationRecord:
        frozen = frozen_text(move.frozen)
        digest = None if move.frozen is None else move.frozen.digest

        def script() -> Script[OperationRecord]:
            rows = yield Sql(
                "UPDATE operation SET state = $3, why = $4, frozen = COALESCE($5, frozen),"  # noqa: S608 -- constant columns
                " digest = COALESCE($6, digest), changed = $7"
                f" WHERE operation_id = $1 AND state = $2 RETURNING {OPERATION_COLUMNS}",
                (move.operation_id, move.before, move.after, move.why, frozen, digest, to_ms(envelope.now)),
            )
            if rows:
                return operation_of(rows[0])
            there = yield Sql("SELECT state FROM operation WHERE operation_id = $1", (move.operation_id,))
            if not there:
                raise NotFoundError(f"operation {move.operation_id} does not exist")
            raise ConflictError(f"operation {move.operation_id} is {there[0][0]} by now")

        return await self._engine.write(script, envelope)

    async def say(self, approval: Approval, envelope: Envelope) -> bool:
        def script() -> Script[bool]:
            waiting = yield Sql(
                "SELECT state, digest FROM operation WHERE operation_id = $1 {for_update}",
                (approval.operation_id,),
            )
            if not waiting or tuple(waiting[0]) != ("waiting", approval.digest):
                raise ConflictError(f"operation {approval.operation_id} does not wait for this approval")
            rows = yield Sql(
                "INSERT INTO operation_approval(operation_id, approver, verdict, digest, record)"
                " VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING 1",
                (
                    approval.operation_id,
                    approval.approver,
                    approval.verdict,
                    approval.digest,
                    encode(approval).decode(),
                ),
            )
            return bool(rows)

        return await self._engine.write(script, envelope)

    async def approvals(self, operation_id: str) -> list[Approval]:
        def script() -> Script[list[Approval]]:
            rows = yield Sql(
                "SELECT record FROM operation_approval WHERE operation_id = $1 ORDER BY number",
                (operation_id,),
            )
            return [approval_of(row) for row in rows]

        return await self._engine.read(script)

    async def commit(self, envelope: Envelope) -> None:
        def script() -> Script[None]:
            yield from ()

        await self._engine.write(script, envelope)

    async def _one(self, where: str, *args: Any) -> OperationRecord | None:
        found = await self._many(f"{_SELECT} WHERE {where}", *args)
        return found[0] if found else None

    async def _many(self, text: str, *args: Any) -> list[OperationRecord]:
        def script() -> Script[list[OperationRecord]]:
            rows = yield Sql(text, args)
            return [operation_of(row) for row in rows]

        return await self._engine.read(script)


def _conditions(query: OperationQuery) -> tuple[list[str], list[Any]]:
    """Return the conditions of a listing, numbered, and their arguments."""
    wheres, args = ["1 = 1"], []
    for column, operator, value in (
        ("project", "=", query.project),
        ("operation", "=", query.operation),
        ("number", "<", query.before_number),
    ):
        if value is not None:
            args.append(value)
            wheres.append(f"{column} {operator} ${len(args)}")
    if query.states:
        numbers = []
        for state in query.states:
            args.append(state)
            numbers.append(f"${len(args)}")
        wheres.append(f"state IN ({', '.join(numbers)})")
    return wheres, args
