"""Operations as a page shows them: one with who may say what on it, and how it differs from the last that was performed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from liftlock.domain.approvals.approval import Approval
from liftlock.domain.approvals.counting import why_barred
from liftlock.domain.approvals.differences import Difference, differences
from liftlock.domain.approvals.passkeys import Passkey
from liftlock.domain.operations.definition import Operation
from liftlock.ports.operation_store import OperationQuery, OperationRecord, OperationStore
from liftlock.services.authorize import Caller
from liftlock.services.configured_operations import ConfiguredOperations
from liftlock.services.operations import Operations, Shown


@dataclass(frozen=True, slots=True)
class Speaker:
    """As whom the caller may speak. `barred`: why that word would not count, None if it would."""

    approver: str
    passkeys: tuple[Passkey, ...]
    barred: str | None


@dataclass(frozen=True, slots=True)
class Seen:
    """One operation for one who looks at it.

    `earlier` is the last one of the same kind that was performed before, `changes` how this one differs (None: there is
    nothing to compare). `speakers` is empty if the caller is no approver at all. `voided` are words on another digest.
    """

    shown: Shown
    operation: Operation | None
    earlier: OperationRecord | None
    changes: tuple[Difference, ...] | None
    speakers: tuple[Speaker, ...]
    voided: tuple[Approval, ...]


class OperationsSeen:
    """Reads operations for pages."""

    def __init__(
        self, configured: ConfiguredOperations, operations: Operations, store: OperationStore
    ) -> None:
        self._configured = configured
        self._operations = operations
        self._store = store

    async def __call__(self, caller: Caller, operation_id: str, now: datetime) -> Seen:
        """Return the operation; RefusedError, NotFoundError as `Operations.show`."""
        shown = await self._operations.show(caller, operation_id, now)
        record = shown.record
        earlier = await self._earlier(record)
        changes = None
        if record.frozen is not None and earlier is not None and earlier.frozen is not None:
            changes = differences(earlier.frozen, record.frozen)
        return Seen(
            shown,
            self._configured.find(record.operation),
            earlier,
            changes,
            self._speakers(caller, record),
            tuple(each for each in shown.approvals if each.digest != record.digest),
        )

    async def _earlier(self, record: OperationRecord) -> OperationRecord | None:
        found = await self._store.operations(
            OperationQuery(operation=record.operation, states=("done",), before_number=record.number, limit=1)
        )
        return found[0] if found else None

    def _speakers(self, caller: Caller, record: OperationRecord) -> tuple[Speaker, ...]:
        found = []
        for name, person in sorted(self._configured.told.approvers.items()):
            if not person.is_client(caller.client_id):
                continue
            barred = why_barred(name, person, record.operation, record.requester)
            if barred is None and caller.client_id == record.requester:
                barred = "who asked for it can't approve it; another person has to"
            if barred is None and not caller.satisfies(f"liftlock:approve:{record.operation}"):
                barred = f"you lack liftlock:approve:{record.operation}"
            found.append(Speaker(name, tuple(person.keys.webauthn), barred))
        return tuple(found)
