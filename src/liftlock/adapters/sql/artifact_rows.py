"""Rows of artifacts and objects, and what every script about them shares."""

from __future__ import annotations

from typing import Any

from liftlock.adapters.sql.script import Script, Sql
from liftlock.adapters.sql.task_rows import locked
from liftlock.domain.tasks.artifacts import Artifact, Content, Declared, may_write, wire_of
from liftlock.domain.tasks.statuses import Task, status_of
from liftlock.errors import ConflictError, NotFoundError
from liftlock.ports.artifact_store import StoredObject
from liftlock.ports.envelope import Event
from liftlock.values.json import decode

CONTENT = "blob, stored_bytes, encoding, sha256, length, sha512"
COLUMNS = f"name, storage, content_type, expires, target, reason, message, upload_id, {CONTENT}"
OBJECT = f"name, project_id, upload_id, content_type, expires, hashes, finished, {CONTENT}"
KEY = "task_id = $1 AND run_id = $2 AND name = $3"


def content_of(row: tuple[Any, ...]) -> Content | None:
    """Return the content that the values of CONTENT hold."""
    return None if row[0] is None else Content(*row)


def artifact_of(row: tuple[Any, ...]) -> Artifact:
    """Return the artifact that the values of COLUMNS hold."""
    return Artifact(row[0], Declared(*row[1:7]), content_of(row[8:14]), row[7])


def object_of(row: tuple[Any, ...]) -> StoredObject:
    """Return the object that the values of OBJECT hold."""
    hashes = decode(row[5].encode())
    name, project_id, upload_id, content_type, expires_ms = row[:5]
    content = content_of(row[7:13])
    return StoredObject(name, project_id, upload_id, content_type, expires_ms, hashes, bool(row[6]), content)


def values_of(content: Content) -> tuple[Any, ...]:
    """Return the values of CONTENT."""
    return (
        content.blob,
        content.stored_bytes,
        content.encoding,
        content.sha256,
        content.length,
        content.sha512,
    )


def find(task_id: str, run_id: int, name: str) -> Script[Artifact | None]:
    """Return the artifact, visible or not."""
    rows = yield Sql(f"SELECT {COLUMNS} FROM artifact WHERE {KEY}", (task_id, run_id, name))  # noqa: S608 -- constants
    return artifact_of(rows[0]) if rows else None


def writable(task_id: str, run_id: int, now_ms: int) -> Script[Task]:
    """Return the locked task, whose run `run_id` may write artifacts now; raises NotFoundError or ConflictError."""
    found = yield from locked(task_id)
    if found is None:
        raise NotFoundError(f"task {task_id} does not exist")
    refusal = may_write(found[1].progress.runs, run_id, now_ms)
    if refusal is not None:
        raise ConflictError(f"task {task_id}: {refusal.message}")
    return found[1]


def created_event(task: Task, run_id: int, artifact: Artifact) -> Event:
    """Return the message that an artifact has become visible."""
    run = task.progress.runs[run_id]
    body = {
        "version": 1,
        "status": status_of(task),
        "artifact": wire_of(artifact),
        "runId": run_id,
        "workerGroup": run.worker_group,
        "workerId": run.worker_id,
        "task": {"tags": task.tags},
        "routes": list(task.routes),
    }
    return Event("artifact-created", task.task_id, body)
