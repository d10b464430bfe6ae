"""Operations in memory: started when asked for, moved on by tests."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from liftlock.errors import ConflictError, NotFoundError
from liftlock.services.authorize import Caller
from liftlock.services.operation_desk import Request, Underway


class FakeOperationDesk:
    """Implements `services.operation_desk.OperationDesk`."""

    def __init__(self, *known: str) -> None:
        self.known = known
        self.asked: list[tuple[str, Request]] = []
        self.operations: dict[str, Underway] = {}
        self.patches: dict[str, str] = {}
        self._keys: dict[tuple[str, str], str] = {}

    async def request(self, caller: Caller, wanted: Request, now: datetime) -> Underway:
        caller.require(f"liftlock:request:{wanted.operation}")
        if wanted.operation not in self.known:
            raise NotFoundError(f"operation {wanted.operation!r} is not configured")
        key = (caller.client_id, wanted.key)
        if key not in self._keys:
            self.asked.append((caller.client_id, wanted))
            made = Underway(
                operation_id=f"op-{len(self.operations) + 1}",
                operation=wanted.operation,
                ref=wanted.ref,
                revision=wanted.revision or "f" * 40,
                given=wanted.given,
                created=now,
                state="building",
            )
            self._keys[key] = made.operation_id
            self.operations[made.operation_id] = made
        return self.operations[self._keys[key]]

    async def look(self, operation_id: str) -> Underway | None:
        return self.operations.get(operation_id)

    async def patch(self, operation_id: str) -> str:
        return self.patches.get(operation_id, "")

    async def cancel(self, caller: Caller, operation_id: str, now: datetime) -> Underway:
        found = self.operations[operation_id]
        caller.require(f"liftlock:cancel:{found.operation}")
        if found.ended:
            raise ConflictError(f"the operation is {found.state}")
        self.move(operation_id, "cancelled", ended=True)
        return self.operations[operation_id]

    def move(self, operation_id: str, state: str, **more: Any) -> None:
        """Move an operation on."""
        self.operations[operation_id] = msgspec.structs.replace(
            self.operations[operation_id], state=state, **more
        )
