"""Readers get artifacts: where one is, its bytes, its description, and the growing log of a running task."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec

from liftlock.domain.tasks.artifacts import Artifact, Content, follow, need_to_read, object_name
from liftlock.errors import (
    ArtifactFailedError,
    InputInvalidError,
    MalformedPayloadError,
    NotFoundError,
    RefusedError,
    StorageError,
)
from liftlock.ports.artifact_store import ArtifactStore, LogPart
from liftlock.ports.blobs import Blobs
from liftlock.ports.sealing import Sealer
from liftlock.ports.task_store import TaskStore
from liftlock.ports.wakeups import Wakeups
from liftlock.services.authorize import Caller
from liftlock.services.run_credentials import OBJECT_LIFETIME, RunCredentials
from liftlock.values.instants import to_ms
from liftlock.values.json import decode_as

LINK_LIFETIME = timedelta(minutes=45)
"""How long a download address holds."""
FOLLOW_EVERY_S = 5.0
_TICKET_IDENTITY = "download"


class Download(msgspec.Struct, frozen=True):
    """Which bytes a download address gives: those of the artifact or object called `name`, until `until_ms`."""

    task_id: str
    run_id: int
    name: str
    until_ms: int


class ArtifactReads:
    """Finds and opens artifacts. Every method raises RefusedError before it says what exists."""

    def __init__(
        self,
        tasks: TaskStore,
        artifacts: ArtifactStore,
        blobs: Blobs,
        sealer: Sealer,
        wakeups: Wakeups,
        credentials: RunCredentials,
    ) -> None:
        self._tasks = tasks
        self._artifacts = artifacts
        self._blobs = blobs
        self._sealer = sealer
        self._wakeups = wakeups
        self._credentials = credentials

    async def find(
        self, caller: Caller, task_id: str, run_id: int | None, name: str, now: datetime
    ) -> tuple[int, Artifact]:
        """Return the run and the artifact that `name` leads to, over links; run None is the latest.

        Raises:
            RefusedError: the caller may not read it, or something a link leads to.
            NotFoundError: there is none (yet).
            InputInvalidError: its links form a cycle.
        """
        caller.require(need_to_read(name))
        run = await self._run(task_id, run_id)
        chain = await self._artifacts.chain(task_id, run, name)

        def alive(wanted: str) -> Artifact | None:
            found = chain.get(wanted)
            return None if found is None or found.declared.expires_ms <= to_ms(now) else found

        found = follow(name, alive, lambda hop: caller.require(need_to_read(hop)))
        if found is None:
            raise NotFoundError(f"run {run} of task {task_id} has no artifact {name!r}")
        return run, found

    async def address(
        self, caller: Caller, task_id: str, run_id: int | None, name: str, now: datetime, *, root_url: str
    ) -> tuple[str, str]:
        """Return the storage type and the address from which anybody may get the bytes for `LINK_LIFETIME`.

        Raises:
            ArtifactFailedError: the worker could not make it, and says why.
            See `find` for the others.
        """
        run, artifact = await self.find(caller, task_id, run_id, name, now)
        declared = artifact.declared
        if declared.storage == "error":
            raise ArtifactFailedError(
                declared.message or "", reason=declared.reason, taskId=task_id, runId=run, name=name
            )
        if declared.storage == "reference":
            return "reference", declared.target or ""
        return declared.storage, self._link(task_id, run, artifact.name, now, root_url)

    async def content(
        self, caller: Caller, task_id: str, run_id: int | None, name: str, now: datetime, *, root_url: str
    ) -> dict[str, Any]:
        """Return what the client needs to get the content, by storage type.

        Raises: see `find`.
        """
        run, artifact = await self.find(caller, task_id, run_id, name, now)
        declared = artifact.declared
        match declared.storage:
            case "error":
                return {"storageType": "error", "reason": declared.reason, "message": declared.message}
            case "reference":
                return {"storageType": "reference", "url": declared.target}
            case "object":
                stored_as = object_name(task_id, run, artifact.name)
                credentials = self._credentials.for_scopes(
                    f"{task_id}/{run}/download",
                    [f"object:download:{stored_as}"],
                    start=now,
                    until=now + OBJECT_LIFETIME,
                )
                return {"storageType": "object", "name": stored_as, "credentials": credentials}
            case _:
                return {"storageType": "s3", "url": self._link(task_id, run, artifact.name, now, root_url)}

    async def info(self, caller: Caller, task_id: str, run_id: int | None, name: str) -> Artifact:
        """Return the artifact itself, links not followed.

        Raises:
            RefusedError, NotFoundError: may not list artifacts; there is none.
        """
        caller.require(_list_scope(task_id, run_id))
        run = await self._run(task_id, run_id)
        found = (await self._artifacts.chain(task_id, run, name)).get(name)
        if found is None:
            raise NotFoundError(f"run {run} of task {task_id} has no artifact {name!r}")
        return found

    async def listed(
        self, caller: Caller, task_id: str, run_id: int | None, after: str, limit: int
    ) -> list[Artifact]:
        """Return a page of the run's artifacts, sorted by name; half uploads are not among them.

        Raises:
            RefusedError, NotFoundError: may not list artifacts; no such task or run.
        """
        caller.require(_list_scope(task_id, run_id))
        return await self._artifacts.listed(task_id, await self._run(task_id, run_id), after, limit)

    async def open(
        self, caller: Caller, task_id: str, run_id: int, name: str, ticket: str | None, now: datetime
    ) -> tuple[Artifact, Content]:
        """Return the artifact and where its bytes are, for whoever may read it or has a download address.

        Raises:
            RefusedError, NotFoundError: no right, or the address is too old; no such bytes.
        """
        if ticket is None:
            caller.require(need_to_read(name))
        else:
            self._check(ticket, (task_id, run_id, name), now)
        found = (await self._artifacts.chain(task_id, run_id, name)).get(name)
        if found is None or found.content is None or found.declared.expires_ms <= to_ms(now):
            raise NotFoundError(f"run {run_id} of task {task_id} has no stored artifact {name!r}")
        return found, found.content

    def read(self, blob: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield the stored bytes of the range; see `Blobs.read`."""
        return self._blobs.read(blob, start, stop)

    async def whole(self, content: Content, *, most: int) -> bytes:
        """Return the uncompressed content.

        Raises:
            InputInvalidError: it is larger than `most` bytes, or not packed as it says.
        """
        if content.length > most:
            raise InputInvalidError(f"the artifact is larger than {most} bytes")
        raw = bytearray()
        async for chunk in self._blobs.read(content.blob):
            raw += chunk
            if len(raw) > 2 * most + 1024:
                raise InputInvalidError(f"the artifact is larger than {most} bytes")
        if content.encoding != "gzip":
            return bytes(raw)
        try:
            unpacked = zlib.decompressobj(31).decompress(bytes(raw), most + 1)
        except zlib.error as error:
            raise InputInvalidError(f"the artifact is not packed with gzip: {error}") from error
        if len(unpacked) > most:
            raise InputInvalidError(f"the artifact is larger than {most} bytes")
        return unpacked

    async def log(self, caller: Caller, task_id: str, run_id: int, name: str, offset: int) -> LogPart:
        """Return what the live log has from `offset` on.

        Raises:
            RefusedError, NotFoundError: may not read it; there is none, or it has become an artifact.
        """
        caller.require(need_to_read(name))
        part = await self._artifacts.read_log(task_id, run_id, name, offset)
        if part is None:
            raise NotFoundError(f"run {run_id} of task {task_id} has no live log {name!r}")
        return part

    async def follow_log(self, task_id: str, run_id: int, name: str, first: LogPart) -> AsyncIterator[bytes]:
        """Yield the live log from `first` on as it grows, until it has ended."""
        part: LogPart | None = first
        with self._wakeups.listen(f"log:{task_id}/{run_id}") as ticket:
            offset = first.start
            while part is not None:
                if part.data:
                    yield part.data
                    offset += len(part.data)
                elif part.ended:
                    return
                else:
                    await ticket.wait(FOLLOW_EVERY_S)
                part = await self._artifacts.read_log(task_id, run_id, name, offset)

    async def _run(self, task_id: str, run_id: int | None) -> int:
        task = await self._tasks.task(task_id)
        if task is None:
            raise NotFoundError(f"task {task_id} does not exist")
        runs = len(task.progress.runs)
        wanted = runs - 1 if run_id is None else run_id
        if not 0 <= wanted < runs:
            raise NotFoundError(f"task {task_id} has no run {'yet' if run_id is None else run_id}")
        return wanted

    def _link(self, task_id: str, run_id: int, name: str, now: datetime, root_url: str) -> str:
        said = Download(task_id, run_id, name, to_ms(now + LINK_LIFETIME))
        ticket = self._sealer.seal(msgspec.json.encode(said), identity=_TICKET_IDENTITY)
        path = f"/api/queue/v1/task/{task_id}/runs/{run_id}/artifact-data/{quote(name, safe='')}"
        return f"{root_url}{path}?ticket={quote(ticket, safe='')}"

    def _check(self, ticket: str, key: tuple[str, int, str], now: datetime) -> None:
        try:
            said = decode_as(self._sealer.unseal(ticket, identity=_TICKET_IDENTITY), Download, what="ticket")
        except (StorageError, MalformedPayloadError) as error:
            raise RefusedError("this download address is not one of ours", rule="download-address") from error
        if (said.task_id, said.run_id, said.name) != key:
            raise RefusedError("this download address is for something else", rule="download-address")
        if said.until_ms <= to_ms(now):
            raise RefusedError(
                "this download address is too old; ask for the artifact again", rule="download-address"
            )


def _list_scope(task_id: str, run_id: int | None) -> str:
    return f"queue:list-artifacts:{task_id}" if run_id is None else f"queue:list-artifacts:{task_id}:{run_id}"
