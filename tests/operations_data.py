"""Operations in every state, written straight into a store, for tests and pictures of pages."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import yaml

from liftlock.adapters.sql.operation_store import SqlOperationStore
from liftlock.adapters.sql.task_store import SqlTaskStore
from liftlock.domain.approvals.request import FrozenFile, FrozenRequest, FrozenStage
from liftlock.domain.operations.definition import Operation, parse_operations
from liftlock.domain.operations.stage_one import compiled
from liftlock.domain.operations.stages import OperationState
from liftlock.domain.tasks.definition import define
from liftlock.ports.envelope import AuditRecord, Envelope, Event
from liftlock.ports.operation_store import Move, NewOperation, OperationRecord
from liftlock.services.request_operation import TOPIC
from operation_builders import operation_body
from pages_data import Data
from task_builders import document, task_id

VERSION: dict[str, Any] = {
    "type": "object",
    "required": ["version"],
    "additionalProperties": False,
    "properties": {
        "version": {
            "type": "string",
            "pattern": "^[0-9.]+$",
            "title": "Version",
            "description": "digits and dots",
        },
        "index": {"enum": ["test", "main"], "default": "test", "title": "Index"},
    },
}


def operations_file(approvers: dict[str, Any], **operations: dict[str, Any]) -> str:
    """Return the operations file; `operations` are changes to the usual body, by name (`_` for `-`)."""
    return yaml.safe_dump(
        {
            "operations": {
                name.replace("_", "-"): operation_body(**changes) for name, changes in operations.items()
            },
            "approvers": approvers,
        }
    )


@dataclass(slots=True)
class OperationData:
    """Writes operations of the file `text` into the store of `data`."""

    data: Data
    text: str

    async def make(
        self, name: str, state: OperationState, requester: str = "people/robin", **more: Any
    ) -> OperationRecord:
        """Return a new operation in that state; `more`: input, files (path → size), revision, why."""
        operation = parse_operations(self.text).operations[name]
        record = self._record(operation, requester, more)
        await self._stage_one(record)
        store, at = SqlOperationStore(self.data.engine), Envelope(self.data.now)
        await store.commit(Envelope(self.data.now, records=(self._new(record),)))
        if state == "building":
            return record
        frozen = self._frozen(
            operation, record, more.get("files", {"dist/widget-4.12-py3-none-any.whl": 48_213})
        )
        steps: dict[str, list[tuple[OperationState, str]]] = {
            "waiting": [],
            "done": [("scheduled", "approved by morgan"), ("done", "performed by the privileged worker")],
            "rejected": [("rejected", "rejected by morgan")],
            "voided": [("voided", "main has moved: what was frozen is another revision")],
        }
        before: OperationState = "building"
        why = f"waits for {operation.approvals.need} approvals of sha256:{frozen.digest}"
        for after, said in [("waiting", why), *steps[state]]:
            move = Move(
                operation_id=record.operation_id,
                before=before,
                after=after,  # type: ignore[arg-type] # one of them
                why=said,
                frozen=frozen if after == "waiting" else None,
            )
            record = await store.move(move, at)
            before = record.state
        return record

    def _record(self, operation: Operation, requester: str, more: dict[str, Any]) -> OperationRecord:
        ids = [task_id(next(self.data.numbers) * 100_000 + 13) for _ in range(3)]
        return OperationRecord(
            operation_id=ids[0],
            operation=operation.name,
            operation_version=operation.version,
            hook_version=compiled(operation).definition.version,
            requester=requester,
            request_key=None,
            project=operation.project,
            identity=f"https://github.com/demo/{operation.project}",
            ref="main",
            revision=more.get("revision") or self.data.heads[operation.project],
            input=more.get("input", {"version": "4.12"}),
            stage1_task_id=ids[1],
            stage2_task_id=ids[2],
            created=self.data.now - more.get("age", timedelta(minutes=7)),
            expires=self.data.now + timedelta(hours=20),
            changed=self.data.now,
        )

    def _new(self, record: OperationRecord) -> NewOperation:
        audit = AuditRecord(
            record.requester, "operations.request", f"operation/{record.operation_id}", "allowed", {}
        )
        return NewOperation(record, audit, Event(TOPIC, record.operation_id, {"operation": record.operation}))

    async def _stage_one(self, record: OperationRecord) -> None:
        store = SqlTaskStore(self.data.engine)
        body = document(self.data.now, taskGroupId=record.stage1_task_id)
        await store.create(define(record.stage1_task_id, body, self.data.now), [], Envelope(self.data.now))
        await self.data.set_states([record.stage1_task_id], ["completed"])

    def _frozen(self, operation: Operation, record: OperationRecord, files: dict[str, int]) -> FrozenRequest:
        crossing = tuple(
            FrozenFile(path, hashlib.sha256(f"{path} {size}".encode()).hexdigest(), size)
            for path, size in sorted(files.items())
        )
        return FrozenRequest(
            operation_id=record.operation_id,
            operation=operation.name,
            operation_version=operation.version,
            hook_version=record.hook_version,
            requester=record.requester,
            requested=record.created,
            project=record.project,
            identity=record.identity,
            ref=record.ref,
            revision=record.revision,
            input=record.input,
            stage1=FrozenStage(record.stage1_task_id, 0, "3" * 64, "local/unprivileged", 3, crossing),
            contract=("dist/*.whl: at least 1, at most 1, zip, at most 1000 bytes",),
            stage2_task_id=record.stage2_task_id,
            expires=record.expires,
        )
