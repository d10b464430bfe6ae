"""Approve or reject a frozen request: two verbs, each with a reason, each recorded; also the word that does not count.

Source: docs/reference/approvals.md#saying
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from liftlock.domain.approvals.approval import Approval, Method, Verdict, check_reason
from liftlock.domain.approvals.counting import Rules, why_not
from liftlock.domain.approvals.request import FrozenRequest
from liftlock.errors import ConflictError, NotFoundError, RefusedError
from liftlock.ports.envelope import Event
from liftlock.ports.operation_store import OperationRecord, OperationStore
from liftlock.ports.wakeups import Wakeups
from liftlock.services.advance_operations import CHANNEL
from liftlock.services.authorize import Caller
from liftlock.services.configured_operations import ConfiguredOperations
from liftlock.services.request_operation import TOPIC


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody says: on which digest, as which approver, with which signature."""

    verdict: Verdict
    digest: str
    approver: str
    reason: str
    method: Method
    proof: str = ""


class SayOnOperation:
    """Takes approvals and rejections."""

    def __init__(self, configured: ConfiguredOperations, store: OperationStore, wakeups: Wakeups) -> None:
        self._configured = configured
        self._store = store
        self._wakeups = wakeups

    async def __call__(self, caller: Caller, operation_id: str, word: Word, now: datetime) -> Approval:
        """Return the approval or rejection, recorded now.

        Raises:
            RefusedError: the caller lacks `liftlock:approve:<operation>`, is not that approver, asked for it, or the
                signature does not count; the refusal is in the audit log.
            NotFoundError: there is no such operation.
            ConflictError: it does not wait for this digest (any more), or this approver said something before.
            InputValidationError: the reason is missing.
        """
        record = await self._store.operation(operation_id)
        if record is None:
            caller.require("liftlock:approve:*")
            raise NotFoundError(f"operation {operation_id[:64]} does not exist")
        caller.require(f"liftlock:approve:{record.operation}")
        frozen = record.frozen
        if record.state != "waiting" or frozen is None:
            raise ConflictError(f"operation {operation_id} is {record.state}, not waiting: {record.why}")
        if word.digest != frozen.digest:
            raise ConflictError(
                f"digest: what waits is sha256:{frozen.digest}, not sha256:{word.digest[:64]}; look at it again"
            )
        approval = _approval(record, word, caller, now)
        refusal = self._refusal(frozen, approval, caller)
        if refusal is not None:
            await self._refuse(record, approval, refusal, caller, now)
        return await self._take(record, approval, caller, now)

    def _refusal(self, frozen: FrozenRequest, approval: Approval, caller: Caller) -> str | None:
        operation = self._configured.operation(approval.operation)
        asked = operation.approvals
        rules = Rules(asked.need, asked.accept_sessions, self._configured.told.approvers)
        person = rules.people.get(approval.approver)
        if caller.client_id == frozen.requester:
            return "who asked for it can't approve it; another person has to"
        if person is not None and not person.is_client(caller.client_id):
            return f"client {caller.client_id} is not {approval.approver}"
        found = why_not(frozen, frozen.digest, approval, rules)
        return found if isinstance(found, str) else None

    async def _refuse(
        self, record: OperationRecord, approval: Approval, why: str, caller: Caller, now: datetime
    ) -> None:
        audit = caller.record(
            f"operations.{approval.verdict}",
            f"operation/{record.operation_id}",
            "refused",
            digest=approval.digest,
            approver=approval.approver,
            why=why,
        )
        await self._store.commit(caller.envelope(now, audit))
        raise RefusedError(f"operation {record.operation_id}: {why}", rule="approval")

    async def _take(
        self, record: OperationRecord, approval: Approval, caller: Caller, now: datetime
    ) -> Approval:
        audit = caller.record(
            f"operations.{approval.verdict}",
            f"operation/{record.operation_id}",
            "allowed",
            digest=approval.digest,
            approver=approval.approver,
            method=approval.method,
            reason=approval.reason,
        )
        event = Event(TOPIC, record.operation_id, {"operation": record.operation, "said": approval.verdict})
        new = await self._store.say(approval, caller.envelope(now, audit, events=(event,)))
        if not new:
            raise ConflictError(f"{approval.approver} has spoken on sha256:{approval.digest} already")
        self._wakeups.wake(CHANNEL)
        return approval


def _approval(record: OperationRecord, word: Word, caller: Caller, now: datetime) -> Approval:
    return Approval(
        operation_id=record.operation_id,
        operation=record.operation,
        digest=word.digest,
        approver=word.approver,
        client_id=caller.client_id,
        verdict=word.verdict,
        reason=check_reason(word.reason),
        method=word.method,
        proof=word.proof,
        at=now,
    )
