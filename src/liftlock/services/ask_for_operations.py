"""The operations of this installation, as others ask for them."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Protocol

from liftlock.domain.operations.definition import pull_of
from liftlock.domain.operations.stages import UNFINISHED
from liftlock.ports.operation_store import OperationRecord, OperationStore
from liftlock.services.authorize import Caller
from liftlock.services.operation_desk import Request, Underway
from liftlock.services.operations import Operations
from liftlock.services.request_operation import RequestOperation, Wanted

PATCH: Final = "public/changes.patch"


class StageTwoFiles(Protocol):
    """What the privileged worker made; see `stage_one_run`."""

    async def made(self, task_id: str, name: str) -> bytes:
        """Return an artifact of the task's last run; nothing if there is none."""
        ...


class ConfiguredDesk:
    """Implements `services.operation_desk.OperationDesk`."""

    def __init__(
        self,
        request: RequestOperation,
        operations: Operations,
        store: OperationStore,
        made: StageTwoFiles,
    ) -> None:
        self._request = request
        self._operations = operations
        self._store = store
        self._made = made

    async def request(self, caller: Caller, wanted: Request, now: datetime) -> Underway:
        asked = Wanted(
            operation=wanted.operation,
            ref=wanted.ref,
            input=wanted.given,
            revision=wanted.revision,
            key=wanted.key,
            origin=wanted.origin,
        )
        return _underway(await self._request(caller, asked, now))

    async def look(self, operation_id: str) -> Underway | None:
        found = await self._store.operation(operation_id)
        return None if found is None else _underway(found)

    async def patch(self, operation_id: str) -> str:
        found = await self._store.operation(operation_id)
        if found is None or found.state != "done" or pull_of(found.ref) is None:
            return ""
        return (await self._made.made(found.stage2_task_id, PATCH)).decode("utf-8", "replace")

    async def cancel(self, caller: Caller, operation_id: str, now: datetime) -> Underway:
        return _underway(await self._operations.cancel(caller, operation_id, now))


def _underway(record: OperationRecord) -> Underway:
    return Underway(
        operation_id=record.operation_id,
        operation=record.operation,
        ref=record.ref,
        revision=record.revision,
        given=record.input,
        created=record.created,
        state=record.state,
        why=record.why,
        ended=record.state not in UNFINISHED,
        succeeded=record.state == "done",
    )
