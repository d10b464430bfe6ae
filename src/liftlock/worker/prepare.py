"""Inputs: fetched, measured, compared with what was declared, and put where the task expects them.

Nothing is parsed before it was measured; what is parsed (archives, repositories) is parsed inside the sandbox.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import assert_never

import msgspec

from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.inputs.declarations import (
    Declaration,
    Git,
    IndexArtifact,
    Lock,
    Mercurial,
    Mount,
    Npm,
    Pip,
    Raw,
    Served,
    Snapshot,
    TaskArtifact,
    TaskOutput,
    Tooltool,
    Unpack,
    Url,
)
from liftlock.domain.inputs.manifest import Failed, Measured, Prepared
from liftlock.domain.inputs.places import in_scratch
from liftlock.domain.inputs.plan import lock_path
from liftlock.domain.inputs.policy import PoolPolicy, check_declaration
from liftlock.domain.inputs.requirements import MAX_LOCK_BYTES
from liftlock.domain.inputs.served import ServedFile
from liftlock.domain.inputs.wheels import parse_file_name
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
from liftlock.values.json import digest
from liftlock.worker.fetching import Fetcher, repeated
from liftlock.worker.npm import NpmPackages
from liftlock.worker.outcome import Outcome, RunEndedError
from liftlock.worker.trees import RunTrees
from liftlock.worker.wheels import Wheels

MAX_BUNDLE_BYTES = 8 << 30
TREE_RECIPE = 1
"""Of how a tree is made of an archive: part of its digest."""


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
        fetcher: Fetcher,
        policy: PoolPolicy,
        npm: NpmPackages,
        trees: RunTrees,
    ) -> None:
        self._trees = trees
        self._fetcher = fetcher
        self._policy = policy
        self._npm_packages = npm
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
        self.served: list[ServedFile] = []
        self.placed = Placed()

    @property
    def files(self) -> dict[str, Blob]:
        """Return the inputs that are one file each, by name, as far as they are prepared."""
        return self._files

    async def prepare(
        self, inputs: tuple[Declaration, ...], image: Callable[[], Awaitable[str | None]] | None = None
    ) -> None:
        """Prepare `inputs` in their order; `prepared` and `placed` grow. `image` gives the root that wheels run in.

        Raises:
            RunEndedError: one of them can't be had, or is not what was declared.
            SandboxFailedError: what makes sandboxes failed, not the input.
        """
        self._declared = {one.name: one for one in inputs}
        for one in inputs:
            try:
                check_declaration(one, self._policy)
            except InputValidationError as error:
                raise RunEndedError("malformed-payload", error.message, Failed(one, error.message)) from error
        for one in inputs:
            if image is not None and isinstance(one.source, Pip):
                self._wheels.root = await image()
            try:
                done = await self._one(one)
            except (SandboxFailedError, IsolationUnavailableError):
                raise
            except LiftlockError as error:
                said = f"input {one.name} ({one.at}): {error.message}"
                raise RunEndedError(_outcome(error), said, Failed(one, error.message)) from error
            self.prepared.append(done)
            size = sum(file.size for file in done.files)
            where = one.place.path or "the package index"
            self._note(f"input {one.name}: {one.kind}, {size} bytes measured, at {where}")

    async def _one(self, one: Declaration) -> Prepared:
        match one.source:
            case Git():
                return await self._checkout(one, one.source)
            case TaskArtifact() | TaskOutput() | Url() | Tooltool() | IndexArtifact():
                return await self._file(one)
            case Raw():
                return await self._raw(one, one.source)
            case Pip():
                return await self._pip(one, one.source)
            case Npm():
                return await self._npm(one, one.source)
            case Snapshot():
                return await self._snapshot(one, one.source)
            case _:
                assert_never(one.source)

    async def _checkout(self, one: Declaration, source: Git) -> Prepared:
        project = source.project
        origin = f"{self._queue.root_url}/api/pushes/v1/project/{project}"
        if project is None:
            origin = source.url or ""
            project = await self._queue.project_of(self._credentials(), self._scopes, origin)
        name = project

        async def fetch() -> Blob:
            async with self._queue.source(self._credentials(), self._scopes, name, source.revision) as chunks:
                return await self._store.add(chunks, what="source.bundle", max_bytes=MAX_BUNDLE_BYTES)

        blob = await repeated(fetch)
        request = CheckoutRequest(
            blob.path,
            source.revision,
            self._scratch,
            in_scratch(one.place.path),
            origin,
            vcs="hg" if isinstance(source, Mercurial) else "git",
        )
        problem = await self._sandbox.checkout(request)
        if problem is not None:
            raise NotFoundError(f"revision {source.revision} of {name} can't be checked out: {problem}")
        measured = Measured("source.bundle", blob.sha256, blob.size)
        return Prepared(one, (measured,), details={"commit": source.revision, "project": name})

    async def _file(self, one: Declaration) -> Prepared:
        """Fetch one file and put it where it belongs; a tree of it is kept by the digests of file and recipe."""
        found = await self._fetcher.fetch(one)
        self._files[one.name] = found.blob
        if isinstance(one.place, Mount) and one.place.archive:
            path, made, cached = await self._tree(found.blob, one.place)
            self._bind(path, one.place.path)
            return Prepared(one, (found.measured,), tree=made, cached=cached, details=found.details)
        await self._put(one, found.blob)
        return Prepared(one, (found.measured,), cached=found.cached, details=found.details)

    async def _tree(self, blob: Blob, place: Mount) -> tuple[str, str, bool]:
        """Return the path and digest of the tree that an archive unpacks to, and whether it was there already."""
        made = digest({"recipe": TREE_RECIPE, "archive": blob.sha256, "strip": place.strip})
        there = self._trees.get(made)
        if there is not None:
            return there, made, True
        name = self._trees.new_name()
        request = UnpackRequest(
            (blob.path,), self._scratch, tree=name, strip=place.strip, max_bytes=place.max_bytes
        )
        done = await self._sandbox.unpack(request)
        if done.problem is not None:
            raise InputRejectedError(f"it can't be unpacked: {done.problem}")
        return await self._trees.keep(name, made, done), made, False

    async def _raw(self, one: Declaration, source: Raw) -> Prepared:
        content = source.content.encode()
        blob = await self._store.add(_once(content), what=one.name, max_bytes=len(content))
        await self._put(one, blob)
        return Prepared(one, (Measured("content", blob.sha256, blob.size),))

    async def _put(self, one: Declaration, blob: Blob) -> None:
        """Show a file read-only, unpack it, or (what is no archive) copy it."""
        self._files[one.name] = blob
        if isinstance(one.place, Mount):
            self._bind(blob.path, one.place.path)
        elif isinstance(one.place, Unpack) and one.place.archive:
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
        text = await self._lock(one, source.lock)
        found = await self._wheels.find(text, what=f"{source.lock.input}:{source.lock.path or 'lock'}")
        self._serve(one, found.files)
        details = {"lock": {"sha256": hashlib.sha256(text).hexdigest(), "size": len(text)}}
        if isinstance(one.place, Unpack):
            await self._unpack(found.archives, one.place)
            return Prepared(one, found.files, details=details)
        if isinstance(one.place, Served):
            return Prepared(one, found.files, details=details)
        path, cached = await self._wheels.tree(found)
        self._bind(path, one.place.path)
        return Prepared(one, found.files, tree=found.digest, cached=cached, details=details)

    async def _npm(self, one: Declaration, source: Npm) -> Prepared:
        """Fetch what a package-lock.json names; unpack it as node_modules, or serve it."""
        text = await self._lock(one, source.lock)
        found = await self._npm_packages.fetch(text, what=f"{source.lock.input}:{source.lock.path or 'lock'}")
        self.served += [ServedFile("npm", each.name, each.file, each.metadata) for each in found]
        if isinstance(one.place, Unpack):
            for each in found:
                place = Unpack(f"{one.place.path}/{each.place}", 1, one.place.max_bytes)
                await self._unpack((each.path,), place)
        details = {"lock": {"sha256": hashlib.sha256(text).hexdigest(), "size": len(text)}}
        return Prepared(one, tuple(each.file for each in found), details=details)

    async def _snapshot(self, one: Declaration, source: Snapshot) -> Prepared:
        """Check that the pool offers it; what is answered is recorded while the task runs."""
        index = self._policy.index(source.index, "pypi", f"{one.at}.index-snapshot.index")
        if not index.snapshots:
            raise InputValidationError(
                f"{one.at}.index-snapshot: the pool's policy does not offer snapshots of {source.index}"
            )
        for answer in source.answers or ():
            if await self._store.verified(answer.sha256) is None:
                raise NotFoundError(
                    f"the recorded answer to {answer.path} (sha256 {answer.sha256}) is not in this worker's store"
                )
        return Prepared(one, (), details={"discovered": source.answers is None})

    def _serve(self, one: Declaration, files: tuple[Measured, ...]) -> None:
        for file in files:
            wheel = parse_file_name(file.name)
            if wheel is not None:
                self.served.append(ServedFile("pypi", wheel.name, file))

    async def _lock(self, one: Declaration, lock: Lock) -> bytes:
        """Return a lock file's bytes, one more than it may have at most."""
        holder = self._declared[lock.input]
        path = lock_path(holder, lock)
        if path is None:
            fd = os.open(self._files[holder.name].path, os.O_RDONLY | os.O_CLOEXEC)
        else:
            opened = await self._sandbox.open_file(self._scratch, path, max_bytes=MAX_LOCK_BYTES)
            if isinstance(opened, Rejected):
                at = f"{one.at}.{one.kind}.lock.path"
                raise InputValidationError(f"{at}: {opened.message}", path=at)
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


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
