"""What the privileged worker decides before it touches a secret: everything again, from its own configuration.

It is handed a frozen request, approvals, and the chain of trust of stage 1, by a control plane that it does not believe.
It makes the frozen request itself, from its own copy of the operation, and compares.

Source: docs/reference/operations.md#the-privileged-worker
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from liftlock.domain.approvals.approval import Approval
from liftlock.domain.approvals.counting import Rules, Tally, count
from liftlock.domain.approvals.request import FrozenRequest
from liftlock.domain.operations.definition import Operation, OperationSet
from liftlock.domain.operations.freezing import Broken, ChainBytes, Facts, Stored, freeze
from liftlock.domain.operations.stage_one import Asked, compiled
from liftlock.domain.provenance.producers import Trust

CLOCK_SKEW = timedelta(minutes=5)


class Handed(msgspec.Struct, frozen=True):
    """What the control plane hands over; `chain` and `stored` are of stage 1."""

    request: FrozenRequest
    approvals: Sequence[Approval]
    chain: ChainBytes
    stored: Mapping[str, Stored]


class Admitted(msgspec.Struct, frozen=True):
    """It may be performed. `tally`: who approved, by which keys."""

    request: FrozenRequest
    operation: Operation
    tally: Tally


def admit(
    own: OperationSet, queue: str, task_id: str, handed: Handed, trust: Trust, now: datetime
) -> Admitted | Broken:
    """Return that what was handed over may be performed as stage 2 `task_id` of `queue`, or the rule that forbids it."""
    request = handed.request
    operation = own.operations.get(request.operation)
    if operation is None:
        return Broken(
            "operation", f"this worker has no operation {request.operation[:40]!r} in its configuration"
        )
    hook = compiled(operation)
    wrong = _mismatch(request, operation, hook.definition.version, queue, task_id) or _times(
        request, operation, now
    )
    if wrong is not None:
        return wrong
    made = freeze(operation, hook, _facts(request), handed.chain, handed.stored, trust)
    if isinstance(made, Broken):
        return made
    if made.digest != request.digest:
        return Broken(
            "digest",
            f"the request is sha256:{request.digest}; by its chain of trust it is sha256:{made.digest}",
        )
    rules = Rules(operation.approvals.need, operation.approvals.accept_sessions, own.approvers)
    return _approved(made, operation, count(made, handed.approvals, rules, now))


def _mismatch(
    request: FrozenRequest, operation: Operation, hook_version: str, queue: str, task_id: str
) -> Broken | None:
    """Return how the request differs from what this worker has to do, or None if it does not."""
    if operation.stage2.queue != queue:
        return Broken(
            "operation", f"{operation.name} is performed in {operation.stage2.queue}, not in {queue}"
        )
    if not operation.takes_ref(request.ref):
        return Broken("ref", f"{operation.name} takes {', '.join(operation.refs)}, not {request.ref[:80]!r}")
    if operation.version != request.operation_version:
        return Broken(
            "operation-version", f"{operation.name} is configured otherwise here than where it was asked for"
        )
    if hook_version != request.hook_version:
        return Broken("hook-version", "the hook that fired is not the one of this worker's configuration")
    if request.stage2_task_id != task_id:
        return Broken(
            "stage2", f"the request is for the stage 2 {request.stage2_task_id[:22]}, not for {task_id}"
        )
    return None


def _times(request: FrozenRequest, operation: Operation, now: datetime) -> Broken | None:
    if request.expires - request.requested > timedelta(hours=operation.approvals.valid_hours):
        return Broken(
            "expiry", "the request is said to be valid for longer than this worker's configuration allows"
        )
    if request.requested > now + CLOCK_SKEW:
        return Broken("expiry", "the request comes from the future")
    return None


def _facts(request: FrozenRequest) -> Facts:
    asked = Asked(
        request.operation_id,
        request.operation,
        request.project,
        request.identity,
        request.ref,
        request.revision,
        request.input,
    )
    return Facts(
        asked=asked,
        requester=request.requester,
        requested=request.requested,
        stage1_task_id=request.stage1.task_id,
        stage2_task_id=request.stage2_task_id,
        expires=request.expires,
    )


def _approved(request: FrozenRequest, operation: Operation, tally: Tally) -> Admitted | Broken:
    if tally.expired:
        return Broken("expired", "the time in which it could be performed is over")
    if tally.rejected:
        return Broken("rejected", f"rejected by {', '.join(tally.rejected)}")
    if tally.missing:
        ignored = "".join(f"; {each.approver}: {each.why}" for each in tally.ignored)
        return Broken("approvals", f"{len(tally.approved)} of {tally.need} approvals{ignored}")
    return Admitted(request, operation, tally)
