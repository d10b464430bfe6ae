"""Rows of operations and approvals, to and from records; and how a new operation commits with what it starts."""

from __future__ import annotations

from typing import Any

import msgspec

from liftlock.adapters.sql.envelope_script import audit_rows, outbox_rows
from liftlock.adapters.sql.records import record_script
from liftlock.adapters.sql.script import Script, Sql
from liftlock.domain.approvals.approval import Approval
from liftlock.domain.approvals.request import FrozenRequest
from liftlock.errors import ConflictError
from liftlock.ports.operation_store import NewOperation, OperationRecord
from liftlock.values.instants import from_ms, to_ms
from liftlock.values.json import decode_as, encode

OPERATION_COLUMNS = "number, record, state, why, frozen, changed"


def operation_of(row: tuple[Any, ...]) -> OperationRecord:
    """Return the operation of a row of `OPERATION_COLUMNS`."""
    number, record, state, why, frozen, changed = row
    return msgspec.structs.replace(
        decode_as(record, OperationRecord, what="operation"),
        number=int(number),
        state=state,
        why=why,
        frozen=None if frozen is None else decode_as(frozen, FrozenRequest, what="frozen request"),
        changed=from_ms(changed),
    )


def frozen_text(frozen: FrozenRequest | None) -> str | None:
    """Return the frozen request as its row has it."""
    return None if frozen is None else frozen.canonical().decode()


def approval_of(row: tuple[Any, ...]) -> Approval:
    """Return the approval of a row that holds its record."""
    return decode_as(row[0], Approval, what="approval")


@record_script(NewOperation)
def insert_operation(new: NewOperation) -> Script[None]:
    """Insert the operation with its audit record and its event, unless its requester used its key before."""
    one = new.operation
    rows = yield Sql(
        "INSERT INTO operation(operation_id, operation, project, requester, request_key, stage1_task_id,"
        " stage2_task_id, state, why, record, digest, frozen, changed)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, NULL, NULL, $11) ON CONFLICT DO NOTHING RETURNING 1",
        (
            one.operation_id,
            one.operation,
            one.project,
            one.requester,
            one.request_key,
            one.stage1_task_id,
            one.stage2_task_id,
            one.state,
            one.why,
            encode(one).decode(),
            to_ms(one.created),
        ),
    )
    if not rows:
        raise ConflictError(f"the request {one.request_key!r:.80} of {one.requester} is there already")
    yield audit_rows((new.audit,), to_ms(one.created))
    yield outbox_rows((new.event,))
