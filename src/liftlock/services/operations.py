"""Show operations and what was said on them, and cancel one."""

from __future__ import annotations

from datetime import datetime

import msgspec

from liftlock.domain.approvals.approval import Approval
from liftlock.domain.approvals.counting import Rules, Tally, count
from liftlock.domain.operations.definition import Operation
from liftlock.domain.operations.stages import Impossible, after
from liftlock.domain.scopes.satisfaction import AnyOf
from liftlock.errors import ConflictError, NotFoundError
from liftlock.ports.envelope import Event
from liftlock.ports.operation_store import Move, OperationQuery, OperationRecord, OperationStore
from liftlock.services.authorize import Caller
from liftlock.services.configured_operations import ConfiguredOperations
from liftlock.services.request_operation import TOPIC
from liftlock.services.stage_two import StageTwo


class Shown(msgspec.Struct, frozen=True):
    """An operation with all that was said on it; `tally` is None while there is nothing to approve."""

    record: OperationRecord
    approvals: tuple[Approval, ...]
    tally: Tally | None


class Operations:
    """Reads and cancels."""

    def __init__(self, configured: ConfiguredOperations, store: OperationStore, stage_two: StageTwo) -> None:
        self._configured = configured
        self._store = store
        self._stage_two = stage_two

    def configured(self, caller: Caller) -> list[Operation]:
        """Return what can be asked for here, sorted by name."""
        caller.require("liftlock:list-operations")
        return sorted(self._configured.told.operations.values(), key=lambda one: one.name)

    async def find(self, caller: Caller, query: OperationQuery) -> list[OperationRecord]:
        """Return the operations that `query` wants, the newest first."""
        caller.require("liftlock:list-operations")
        return await self._store.operations(query)

    async def show(self, caller: Caller, operation_id: str, now: datetime) -> Shown:
        """Return one operation; RefusedError, NotFoundError."""
        caller.require("liftlock:list-operations")
        return await self._shown(await self._existing(operation_id), now)

    async def handoff(self, caller: Caller, task_id: str, now: datetime) -> Shown:
        """Return the operation whose stage 2 is `task_id`, for the privileged worker that claimed it.

        Raises:
            RefusedError: the caller lacks `liftlock:handoff:<task id>`.
            NotFoundError: no operation has this stage 2.
            ConflictError: it is not scheduled.
        """
        caller.require(f"liftlock:handoff:{task_id}")
        found = await self._store.by_stage_two(task_id)
        if found is None:
            raise NotFoundError(f"no operation has the stage 2 {task_id}")
        if found.state != "scheduled":
            raise ConflictError(
                f"operation {found.operation_id} is {found.state}, not scheduled: {found.why}"
            )
        return await self._shown(found, now)

    async def cancel(self, caller: Caller, operation_id: str, now: datetime) -> OperationRecord:
        """Return the operation, cancelled now or ended before.

        Raises:
            RefusedError: neither is it the caller's own, nor has the caller `liftlock:cancel:<operation>`.
            NotFoundError: there is none.
            ConflictError: it has ended otherwise.
        """
        caller.require(AnyOf("liftlock:list-operations", "liftlock:cancel:*"))
        record = await self._existing(operation_id)
        if record.requester != caller.client_id:
            caller.require(f"liftlock:cancel:{record.operation}")
        if record.state == "cancelled":
            return record
        state = after(record.state, "cancel")
        if isinstance(state, Impossible):
            raise ConflictError(state.message)
        await self._stage_two.cancel(record, now)
        why = f"cancelled by {caller.client_id}"
        audit = caller.record(
            "operations.cancel", f"operation/{operation_id}", operation=record.operation, digest=record.digest
        )
        event = Event(TOPIC, operation_id, {"operation": record.operation, "state": state, "why": why})
        move = Move(operation_id=operation_id, before=record.state, after=state, why=why)
        return await self._store.move(move, caller.envelope(now, audit, events=(event,)))

    async def _existing(self, operation_id: str) -> OperationRecord:
        found = await self._store.operation(operation_id)
        if found is None:
            raise NotFoundError(f"operation {operation_id[:64]} does not exist")
        return found

    async def _shown(self, record: OperationRecord, now: datetime) -> Shown:
        approvals = tuple(await self._store.approvals(record.operation_id))
        operation = self._configured.find(record.operation)
        if record.frozen is None or operation is None:
            return Shown(record, approvals, None)
        rules = Rules(
            operation.approvals.need, operation.approvals.accept_sessions, self._configured.told.approvers
        )
        return Shown(record, approvals, count(record.frozen, approvals, rules, now))
