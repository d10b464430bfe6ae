"""Inputs: fetched, measured, compared with what was declared, and put where the task expects them.

Nothing is parsed before it was measured; what is parsed (archives, repositories) is parsed inside the sandbox.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import assert_never

import msgspec

from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.inputs.declarations import Declaration, Git, Mount, Pip, Raw, TaskArtifact, Unpack
from liftlock.domain.inputs.manifest import Failed, Measured, Prepared
from liftlock.domain.inputs.places import in_scratch
from liftlock.domain.inputs.plan import lock_path
from liftlock.domain.inputs.requirements import MAX_LOCK_BYTES
from liftlock.errors import (
    InputValidationError,
    IsolationUnavailableError,
    LiftlockError,
    NotFoundError,
    SandboxFailedError,
)
from liftlock.ports.input_store import Blob, InputRejectedError, InputStore
from liftlock.ports.queue_client import QueueClient, QueueUnavailableError
from liftlock.ports.sandbox import (
    Bind,
    CheckoutRequest,
    DataFile,
    Placement,
    Rejected,
    Sandbox,
    Scratch,
    UnpackRequest,
)
from liftlock.worker.outcome import Outcome, RunEndedError
from liftlock.worker.wheels import Wheels

MAX_BUNDLE_BYTES = 8 << 30
MAX_ARTIFACT_BYTES = 16 << 30
RETRY_S = (0.5, 1.0, 2.0, 4.0)


class Placed(msgspec.Struct, frozen=True):
    """What the sandbox is shown of the inputs."""

    binds: tuple[Bind, ...] = ()
    files: tuple[DataFile, ...] = ()


class Preparer:
    """Prepares the inputs of one run. `credentials` gives those of the run; every request is limited to `scopes`."""

    def __init__(
        self,
        *,
        queue: QueueClient,
        store: InputStore,
        wheels: Wheels,
        sandbox: Sandbox,
        scratch: Scratch,
        credentials: Callable[[], Credentials],
        scopes: tuple[str, ...],
        note: Callable[[str], None],
    ) -> None:
        self._queue = queue
        self._store = store
        self._wheels = wheels
        self._sandbox = sandbox
        self._scratch = scratch
        self._credentials = credentials
        self._scopes = scopes
        self._note = note
        self._files: dict[str, Blob] = {}
        self._declared: dict[str, Declaration] = {}
        self.prepared: list[Prepared] = []
        self.placed = Placed()

    async def prepare(self, inputs: tuple[Declaration, ...]) -> None:
        """Prepare `inputs` in their order; `prepared` and `placed` grow.

        Raises:
            RunEndedError: one of them can't be had, or is not what was declared.
            SandboxFailedError: what makes sandboxes failed, not the input.
        """
        self._declared = {one.name: one for one in inputs}
        for one in inputs:
            try:
                done = await self._one(one)
            except (SandboxFailedError, IsolationUnavailableError):
                raise
            except LiftlockError as error:
                said = f"input {one.name} ({one.at}): {error.message}"
                raise RunEndedError(_outcome(error), said, Failed(one, error.message)) from error
            self.prepared.append(done)
            size = sum(file.size for file in done.files)
            self._note(f"input {one.name}: {one.kind}, {size} bytes measured, at {one.place.path}")

    async def _one(self, one: Declaration) -> Prepared:
        match one.source:
            case Git():
                return await self._git(one, one.source)
            case TaskArtifact():
                return await self._artifact(one, one.source)
            case Raw():
                return await self._raw(one, one.source)
            case Pip():
                return await self._pip(one, one.source)
            case _:
                assert_never(one.source)

    async def _git(self, one: Declaration, source: Git) -> Prepared:
        project = source.project
        origin = f"{self._queue.root_url}/api/pushes/v1/project/{project}"
        if project is None:
            origin = source.url or ""
            project = await self._queue.project_of(self._credentials(), self._scopes, origin)
        name = project

        async def fetch() -> Blob:
            async with self._queue.source(self._credentials(), self._scopes, name, source.revision) as chunks:
                return await self._store.add(chunks, what="source.bundle", max_bytes=MAX_BUNDLE_BYTES)

        blob = await _repeated(fetch)
        request = CheckoutRequest(
            blob.path, source.revision, self._scratch, in_scratch(one.place.path), origin
        )
        problem = await self._sandbox.checkout(request)
        if problem is not None:
            raise NotFoundError(f"revision {source.revision} of {name} can't be checked out: {problem}")
        measured = Measured("source.bundle", blob.sha256, blob.size)
        return Prepared(one, (measured,), details={"commit": source.revision, "project": name})

    async def _artifact(self, one: Declaration, source: TaskArtifact) -> Prepared:
        async def fetch() -> Blob:
            opened = self._queue.artifact(self._credentials(), self._scopes, source.task_id, source.artifact)
            async with opened as chunks:
                return await self._store.add(
                    chunks, what=source.artifact, max_bytes=MAX_ARTIFACT_BYTES, sha256=source.sha256
                )

        blob = await _repeated(fetch)
        await self._put(one, blob, is_archive=True)
        declared = () if source.sha256 is None else (source.sha256,)
        return Prepared(one, (Measured(source.artifact, blob.sha256, blob.size, declared),))

    async def _raw(self, one: Declaration, source: Raw) -> Prepared:
        content = source.content.encode()
        blob = await self._store.add(_once(content), what=one.name, max_bytes=len(content))
        await self._put(one, blob, is_archive=False)
        return Prepared(one, (Measured("content", blob.sha256, blob.size),))

    async def _put(self, one: Declaration, blob: Blob, *, is_archive: bool) -> None:
        """Show a file read-only, unpack it, or (text that is no archive) copy it."""
        self._files[one.name] = blob
        if isinstance(one.place, Mount):
            self._bind(blob.path, one.place.path)
        elif is_archive:
            await self._unpack((blob.path,), one.place)
        else:
            problem = await self._sandbox.place(
                self._scratch, (Placement(blob.path, in_scratch(one.place.path)),)
            )
            if problem is not None:
                raise InputRejectedError(f"it can't be put at {one.place.path}: {problem}")

    async def _unpack(self, archives: tuple[str, ...], place: Unpack) -> None:
        request = UnpackRequest(
            archives, self._scratch, in_scratch(place.path), strip=place.strip, max_bytes=place.max_bytes
        )
        done = await self._sandbox.unpack(request)
        if done.problem is not None:
            raise InputRejectedError(f"it can't be unpacked: {done.problem}")

    def _bind(self, source: str, destination: str) -> None:
        self.placed = Placed((*self.placed.binds, Bind(source, destination)), self.placed.files)

    async def _pip(self, one: Declaration, source: Pip) -> Prepared:
        text = await self._lock(one, source)
        found = await self._wheels.find(text, what=f"{source.lock.input}:{source.lock.path or 'lock'}")
        details = {"lock": {"sha256": hashlib.sha256(text).hexdigest(), "size": len(text)}}
        if isinstance(one.place, Unpack):
            await self._unpack(found.archives, one.place)
            return Prepared(one, found.files, details=details)
        path, cached = await self._wheels.tree(found)
        self._bind(path, one.place.path)
        return Prepared(one, found.files, tree=found.digest, cached=cached, details=details)

    async def _lock(self, one: Declaration, source: Pip) -> bytes:
        """Return a lock file's bytes, one more than it may have at most."""
        holder = self._declared[source.lock.input]
        path = lock_path(holder, source)
        if path is None:
            fd = os.open(self._files[holder.name].path, os.O_RDONLY | os.O_CLOEXEC)
        else:
            opened = await self._sandbox.open_file(self._scratch, path, max_bytes=MAX_LOCK_BYTES)
            if isinstance(opened, Rejected):
                raise InputValidationError(
                    f"{one.at}.pip.lock.path: {opened.message}", path=f"{one.at}.pip.lock.path"
                )
            fd = opened.fd
        with os.fdopen(fd, "rb") as file:
            return file.read(MAX_LOCK_BYTES + 1)


def _outcome(error: LiftlockError) -> Outcome:
    """Return how a run ends whose input failed by `error`."""
    match error:
        case InputValidationError() | InputRejectedError():
            return "malformed-payload"
        case QueueUnavailableError():
            return "internal-error"
        case _:
            return "resource-unavailable"


async def _repeated(fetch: Callable[[], Awaitable[Blob]]) -> Blob:
    """Return what `fetch` gives, repeated while the control plane gives no usable answer."""
    for pause in RETRY_S:
        try:
            return await fetch()
        except QueueUnavailableError:
            await asyncio.sleep(pause)
    return await fetch()


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
