"""The store of artifacts, uploads on their way, objects and live logs: who may write is decided on the locked task."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from liftlock.domain.tasks.artifacts import Artifact, Content, Declared
from liftlock.ports.envelope import Envelope


class Ticket(msgspec.Struct, frozen=True):
    """The right to upload once. `token` is the sha256 of what the URL holds; `blob` is set once used."""

    token: str
    kind: Literal["artifact", "object"]
    task_id: str
    run_id: int
    name: str
    content_type: str
    expires_ms: int
    blob: str | None = None


class StoredObject(msgspec.Struct, frozen=True):
    """An object of the object service; `content` is None until its bytes are there."""

    name: str
    project_id: str
    upload_id: str
    content_type: str
    expires_ms: int
    hashes: dict[str, str]
    finished: bool
    content: Content | None = None


class LogPart(msgspec.Struct, frozen=True):
    """Bytes of a live log from `start`; `ended` once nothing can be appended any more."""

    start: int
    data: bytes
    ended: bool


class ArtifactStore(Protocol):
    """Artifacts by task, run and name."""

    async def declare(
        self,
        task_id: str,
        run_id: int,
        name: str,
        declared: Declared,
        upload_id: str | None,
        ticket: Ticket | None,
        envelope: Envelope,
    ) -> Artifact:
        """Return the artifact, made now, there already, or in place of a reference; `ticket` becomes valid.

        Raises:
            NotFoundError: no such task.
            ConflictError: the run may not write artifacts now, or one of that name exists and is immutable.
        """
        ...

    async def ticket(self, token: str) -> Ticket | None:
        """Return the ticket, or None."""
        ...

    async def fill(self, token: str, content: Content, envelope: Envelope) -> None:
        """Let the artifact or object of the ticket have `content`; the ticket is used up.

        Raises:
            NotFoundError: no such ticket, or what it was for is gone.
            ConflictError: the run may not write artifacts any more, or there is other content already.
        """
        ...

    async def finish_artifact(
        self, task_id: str, run_id: int, name: str, upload_id: str, envelope: Envelope
    ) -> None:
        """Make an object artifact visible: its object's upload is finished.

        Raises:
            NotFoundError: no such artifact or finished object.
            InputInvalidError: it is of another storage type, or the upload id is wrong.
            ConflictError: the run may not write artifacts any more.
        """
        ...

    async def chain(self, task_id: str, run_id: int, name: str) -> dict[str, Artifact]:
        """Return the artifact `name` and what its links lead to, by name, as far as they exist and are visible."""
        ...

    async def listed(self, task_id: str, run_id: int, after: str, limit: int) -> list[Artifact]:
        """Return visible artifacts of the run with names after `after`, sorted by name."""
        ...

    async def object(self, name: str) -> StoredObject | None:
        """Return the object, or None."""
        ...

    async def begin_object(
        self, wanted: StoredObject, ticket: Ticket | None, envelope: Envelope
    ) -> StoredObject:
        """Return the object `wanted`, made now or with the same properties before.

        Raises:
            ConflictError: one of that name has other properties, or is finished.
        """
        ...

    async def fill_object(self, name: str, upload_id: str, content: Content) -> None:
        """Let the unfinished object have `content`.

        Raises:
            ConflictError: it has other content, or is finished, or the upload id is another's.
        """
        ...

    async def finish_object(
        self, name: str, project_id: str, upload_id: str, hashes: dict[str, str], envelope: Envelope
    ) -> None:
        """Mark the object complete: immutable from now on.

        Raises:
            NotFoundError: no such upload.
            ConflictError: no bytes were uploaded, or they do not have these hashes.
        """
        ...

    async def append_log(
        self, task_id: str, run_id: int, name: str, offset: int, data: bytes, envelope: Envelope
    ) -> int:
        """Return the log's new size. Bytes that are there already, and equal, are taken as repeated.

        Raises:
            NotFoundError, ConflictError: no such task; the run may not write now; a gap or different bytes.
            TooLargeError: more than a live log may hold.
        """
        ...

    async def read_log(self, task_id: str, run_id: int, name: str, offset: int) -> LogPart | None:
        """Return some bytes from `offset` on (perhaps none yet), or None if there is no such log."""
        ...

    async def expire(self, now_ms: int, limit: int) -> int:
        """Forget up to `limit` expired artifacts, tickets, objects and superseded live logs; return how many."""
        ...

    async def orphans(self, since_ms: int, limit: int) -> list[str]:
        """Return blobs that nothing refers to and that were noted at or before `since_ms`."""
        ...

    async def abandon(self, blob: str, now_ms: int) -> None:
        """Note that the blob was stored for something that then was refused; it may be an orphan."""
        ...

    async def buried(self, blob: str) -> None:
        """Forget an orphan: it is gone from the blob store, or in use again."""
        ...
