"""Operations as stored, from the request to the end, and every word that was said on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

from liftlock.domain.approvals.approval import Approval
from liftlock.domain.approvals.request import FrozenRequest
from liftlock.domain.operations.stages import OperationState
from liftlock.ports.envelope import AuditRecord, Envelope, Event


class OperationRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One operation. `operation_id` is issued by liftlock and unique; `number` grows with time, given by the store.

    `request_key` is the requester's own mark of this request, by which repeating it finds it again. `origin` is what
    started it, for whoever has to answer there (a comment, an event); nothing is decided by it. `expires` is the end
    of the time in which it may be approved. `why` says what led to the state.
    """

    operation_id: str
    operation: str
    operation_version: str
    hook_version: str
    requester: str
    request_key: str | None
    project: str
    identity: str
    ref: str
    revision: str
    input: Any
    stage1_task_id: str
    stage2_task_id: str
    created: datetime
    expires: datetime
    origin: Mapping[str, Any] = {}
    state: OperationState = "building"
    why: str = ""
    frozen: FrozenRequest | None = None
    changed: datetime | None = None
    number: int = 0

    @property
    def digest(self) -> str | None:
        """The digest that is approved; None until there is a frozen request."""
        return None if self.frozen is None else self.frozen.digest


class NewOperation(msgspec.Struct, frozen=True):
    """For an envelope's records: the operation is there from now on, in the state `building`.

    Raises ConflictError inside the transaction if the requester used the request's key before.
    """

    operation: OperationRecord
    audit: AuditRecord
    event: Event


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """A change of state: from `before` to `after`, with the reason; `frozen` is set with it if it is not None."""

    operation_id: str
    before: OperationState
    after: OperationState
    why: str
    frozen: FrozenRequest | None = None


class OperationQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which operations a listing wants: at most `limit`, the newest first, with a number less than `before_number`."""

    project: str | None = None
    operation: str | None = None
    states: Sequence[OperationState] = ()
    before_number: int | None = None
    limit: int = 100


class OperationStore(Protocol):
    """Operations and approvals."""

    async def operation(self, operation_id: str) -> OperationRecord | None:
        """Return the operation, or None."""
        ...

    async def by_key(self, requester: str, request_key: str) -> OperationRecord | None:
        """Return the operation that the requester asked for under that key, or None."""
        ...

    async def by_stage_two(self, task_id: str) -> OperationRecord | None:
        """Return the operation whose stage 2 that task is, or None."""
        ...

    async def operations(self, query: OperationQuery) -> list[OperationRecord]:
        """Return the operations that `query` wants, the newest first."""
        ...

    async def unfinished(self, after_number: int, limit: int) -> list[OperationRecord]:
        """Return up to `limit` operations that have not ended, with a number above `after_number`, the oldest first."""
        ...

    async def move(self, move: Move, envelope: Envelope) -> OperationRecord:
        """Return the operation in its new state.

        Raises:
            NotFoundError: there is no such operation.
            ConflictError: it is not in the state `before` any more.
        """
        ...

    async def say(self, approval: Approval, envelope: Envelope) -> bool:
        """Store the approval and return True; False if this person said something on this digest before.

        Raises:
            ConflictError: the operation does not wait for approvals of this digest (any more).
        """
        ...

    async def approvals(self, operation_id: str) -> list[Approval]:
        """Return every approval and rejection of the operation, of voided requests too, the oldest first."""
        ...

    async def commit(self, envelope: Envelope) -> None:
        """Commit the envelope alone: the record of a word that does not count."""
        ...
