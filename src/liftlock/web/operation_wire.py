"""Operations, frozen requests and approvals in the form in which they are sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast, get_args

import msgspec

from liftlock.domain.approvals.approval import approval_wire
from liftlock.domain.approvals.counting import Tally
from liftlock.domain.operations.definition import Operation
from liftlock.domain.operations.stages import OperationState
from liftlock.errors import RequestArgumentsError
from liftlock.ports.operation_store import OperationQuery, OperationRecord
from liftlock.services.operations import Shown
from liftlock.services.show_differences import Compared
from liftlock.values.instants import format_instant
from liftlock.web.paging import limit_of, number_after

OPERATION_QUERY = ("project", "operation", "state", "continuationToken", "limit")


def record_wire(record: OperationRecord) -> dict[str, Any]:
    """Return the operation as JSON, without the frozen request itself."""
    return {
        "operationId": record.operation_id,
        "operation": record.operation,
        "operationVersion": record.operation_version,
        "hookVersion": record.hook_version,
        "state": record.state,
        "why": record.why,
        "requester": record.requester,
        "project": record.project,
        "ref": record.ref,
        "revision": record.revision,
        "input": record.input,
        "stage1TaskId": record.stage1_task_id,
        "stage2TaskId": record.stage2_task_id,
        "created": format_instant(record.created),
        "changed": format_instant(record.changed or record.created),
        "expires": format_instant(record.expires),
        "digest": record.digest,
        "origin": dict(record.origin),
    }


def shown_wire(shown: Shown) -> dict[str, Any]:
    """Return the operation with its frozen request and all that was said on it."""
    frozen = shown.record.frozen
    return {
        **record_wire(shown.record),
        "frozen": None if frozen is None else frozen.document,
        "approvals": [approval_wire(each) for each in shown.approvals],
        "tally": None if shown.tally is None else tally_wire(shown.tally),
    }


def tally_wire(tally: Tally) -> dict[str, Any]:
    """Return who counts and who does not."""
    return {
        "need": tally.need,
        "missing": tally.missing,
        "approved": [{"approver": name, "key": key} for name, key in tally.approved.items()],
        "rejected": list(tally.rejected),
        "ignored": [{"approver": each.approver, "why": each.why} for each in tally.ignored],
        "expired": tally.expired,
    }


def operation_wire(operation: Operation) -> dict[str, Any]:
    """Return what is configured: what may be asked for, and under which rules."""
    return {
        "operation": operation.name,
        "version": operation.version,
        "description": operation.description,
        "project": operation.project,
        "refs": list(operation.refs),
        "inputSchema": operation.input_schema,
        "privilegedOperation": {"kind": operation.stage2.kind, "settings": operation.stage2.settings},
        "contract": msgspec.to_builtins(operation.contract),
        "approvals": msgspec.to_builtins(operation.approvals),
    }


def differences_wire(compared: Compared) -> dict[str, Any]:
    """Return how each file differs from what."""
    return {
        "operationId": compared.operation_id,
        "digest": compared.digest,
        "revision": compared.revision,
        "lastOperationId": compared.last,
        "differences": msgspec.to_builtins(compared.files),
    }


def operation_query(query: Mapping[str, str]) -> OperationQuery:
    """Return what a listing asks for; RequestArgumentsError for a state that there is not."""
    state = query.get("state")
    known = get_args(OperationState)
    if state is not None and state not in known:
        raise RequestArgumentsError(f"state: expected one of {', '.join(known)}, got {state[:32]!r}")
    return OperationQuery(
        project=query.get("project"),
        operation=query.get("operation"),
        states=() if state is None else (cast(OperationState, state),),
        before_number=number_after(query) or None,
        limit=limit_of(query),
    )
