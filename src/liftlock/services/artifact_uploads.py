"""Runs make artifacts: declare them, upload their bytes, finish them; and append to their live log."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from liftlock.domain.tasks.artifacts import (
    MAX_LIVE_CHUNK_BYTES,
    Artifact,
    Declared,
    artifact_name,
    declare,
    encoding_of,
    object_name,
)
from liftlock.domain.tasks.statuses import Task
from liftlock.errors import InputInvalidError, LiftlockError, NotFoundError, TooLargeError
from liftlock.ports.artifact_store import ArtifactStore, Ticket
from liftlock.ports.blobs import Blobs
from liftlock.ports.entropy import Entropy
from liftlock.ports.envelope import Envelope
from liftlock.ports.task_store import TaskStore
from liftlock.services.authorize import Caller
from liftlock.services.run_credentials import RunCredentials
from liftlock.values.instants import format_instant, format_ms, from_ms, to_ms

MAX_UPLOAD_BYTES = 16 << 30
"""Bytes of one upload as they are sent."""
UPLOAD_LIFETIME = timedelta(minutes=45)
"""How long an upload address holds."""
UPLOAD_PATH = "/api/queue/v1/upload"
_TOKEN_BYTES = 32


class ArtifactUploads:
    """What the worker of a run may do to its artifacts."""

    def __init__(
        self,
        tasks: TaskStore,
        artifacts: ArtifactStore,
        blobs: Blobs,
        entropy: Entropy,
        credentials: RunCredentials,
    ) -> None:
        self._tasks = tasks
        self._artifacts = artifacts
        self._blobs = blobs
        self._entropy = entropy
        self._credentials = credentials

    async def create(
        self,
        caller: Caller,
        task_id: str,
        run_id: int,
        name: str,
        given: Mapping[str, Any],
        now: datetime,
        *,
        root_url: str,
    ) -> dict[str, Any]:
        """Return createArtifact's answer: for bytes, where and with what right to upload them.

        Raises:
            RefusedError: these are not the credentials of that run.
            NotFoundError, InputInvalidError: no such task; the declaration makes no sense.
            ConflictError: the run may not write artifacts now; one of that name exists and is immutable.
        """
        caller.require(f"queue:create-artifact:{task_id}/{run_id}")
        name = artifact_name(name)
        task = await self._tasks.task(task_id)
        if task is None:
            raise NotFoundError(f"task {task_id} does not exist")
        declared = declare(given, task_expires_ms=task.expires_ms, now=now)
        upload_id = self._entropy.slugid() if declared.storage == "object" else None
        secret, ticket = "", None
        if declared.storage == "s3":
            secret, ticket = self._ticket("artifact", (task_id, run_id, name), declared.content_type, now)
        artifact = await self._artifacts.declare(
            task_id, run_id, name, declared, upload_id, ticket, caller.envelope(now)
        )
        if ticket is not None:
            return {
                "storageType": "s3",
                "contentType": declared.content_type,
                "expires": format_ms(ticket.expires_ms),
                "putUrl": f"{root_url}{UPLOAD_PATH}/{secret}",
            }
        if declared.storage == "object":
            return self._object_answer(task, run_id, artifact, now)
        return {"storageType": declared.storage, **_target_of(declared)}

    def _object_answer(self, task: Task, run_id: int, artifact: Artifact, now: datetime) -> dict[str, Any]:
        stored_as = object_name(task.task_id, run_id, artifact.name)
        until = now + UPLOAD_LIFETIME
        credentials = self._credentials.for_scopes(
            f"{task.task_id}/{run_id}/upload",
            [f"object:upload:{task.project_id}:{stored_as}"],
            start=now,
            until=until,
        )
        return {
            "storageType": "object",
            "name": stored_as,
            "projectId": task.project_id,
            "uploadId": artifact.upload_id,
            "expires": format_instant(from_ms(artifact.declared.expires_ms)),
            "credentials": credentials,
        }

    def _ticket(
        self, kind: Any, key: tuple[str, int, str], content_type: str, now: datetime
    ) -> tuple[str, Ticket]:
        """Return the secret of a new upload address, and what is stored of it."""
        secret = self._entropy.token_bytes(_TOKEN_BYTES).hex()
        expires_ms = to_ms(now + UPLOAD_LIFETIME)
        return secret, Ticket(token_digest(secret), kind, *key, content_type, expires_ms)

    async def upload(
        self, secret: str, headers: Mapping[str, str], chunks: AsyncIterator[bytes], now: datetime
    ) -> str:
        """Return the sha256 of the bytes stored under an upload address; it may be used once.

        The same bytes once more are taken as a repeated request; nothing is visible before all is durable.

        Raises:
            NotFoundError: no such address, or it is too old.
            InputInvalidError: another Content-Type than declared; not of its Content-Encoding.
            ConflictError: other bytes are there already; the run may not write artifacts any more.
        """
        token = token_digest(secret)
        ticket = await self._artifacts.ticket(token)
        if ticket is None or ticket.expires_ms <= to_ms(now):
            raise NotFoundError("this upload address is not valid any more; ask for a new one")
        sent = headers.get("content-type", ticket.content_type)
        if sent != ticket.content_type:
            raise InputInvalidError(
                f"Content-Type: declared as {ticket.content_type!r}, sent as {sent[:255]!r}"
            )
        encoding = encoding_of(headers.get("content-encoding"))
        async with self._blobs.writer(encoding, max_bytes=MAX_UPLOAD_BYTES) as writer:
            async for chunk in chunks:
                await writer.write(chunk)
            content = await writer.finish()
        try:
            await self._artifacts.fill(token, content, Envelope(now=now))
        except LiftlockError:
            await self._artifacts.abandon(content.blob, to_ms(now))
            raise
        return content.blob

    async def finish(
        self, caller: Caller, task_id: str, run_id: int, name: str, upload_id: str, now: datetime
    ) -> None:
        """Make an artifact of storage type object visible once its upload is finished.

        Raises:
            RefusedError, NotFoundError, InputInvalidError, ConflictError: see `ArtifactStore.finish_artifact`.
        """
        caller.require(f"queue:create-artifact:{task_id}/{run_id}")
        name = artifact_name(name)
        await self._artifacts.finish_artifact(task_id, run_id, name, upload_id, caller.envelope(now))

    async def append_log(
        self,
        caller: Caller,
        task_id: str,
        run_id: int,
        name: str,
        offset: int,
        chunks: AsyncIterator[bytes],
        now: datetime,
    ) -> int:
        """Return the live log's size after the body was appended at `offset`; a repeated append changes nothing.

        Raises:
            RefusedError, NotFoundError: not that run's credentials; no such task.
            ConflictError: a gap, or other bytes than were sent before; the run may not write any more.
            TooLargeError: more than a request or a live log may hold.
        """
        caller.require(f"queue:create-artifact:{task_id}/{run_id}")
        parts: list[bytes] = []
        size = 0
        async for chunk in chunks:
            size += len(chunk)
            if size > MAX_LIVE_CHUNK_BYTES:
                raise TooLargeError(f"body: expected at most {MAX_LIVE_CHUNK_BYTES} bytes at a time")
            parts.append(chunk)
        return await self._artifacts.append_log(
            task_id, run_id, artifact_name(name), offset, b"".join(parts), caller.envelope(now)
        )


def token_digest(secret: str) -> str:
    """Return what the store keeps of an upload address's secret."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _target_of(declared: Declared) -> dict[str, Any]:
    """Return the fields of an answer that repeat what was declared."""
    if declared.storage == "reference":
        return {"contentType": declared.content_type, "url": declared.target}
    if declared.storage == "link":
        return {"contentType": declared.content_type, "artifact": declared.target}
    return {"reason": declared.reason, "message": declared.message}
