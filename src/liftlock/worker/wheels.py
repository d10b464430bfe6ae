"""Locked packages: each wheel found by its digest in the wheelhouse, measured again, unpacked as one importable tree."""

from __future__ import annotations

import asyncio

import msgspec

from liftlock.domain.inputs.manifest import Measured
from liftlock.domain.inputs.requirements import Requirement, parse_lock
from liftlock.domain.inputs.wheels import Interpreter, choose
from liftlock.errors import NotFoundError
from liftlock.ports.input_store import Blob, InputRejectedError, InputStore, Wheelhouse
from liftlock.ports.sandbox import Sandbox, Scratch, UnpackRequest
from liftlock.values.json import digest
from liftlock.worker.fetching import repeated
from liftlock.worker.interpreter import Interpreters
from liftlock.worker.trees import RunTrees
from liftlock.worker.wheel_index import WheelIndex

MAX_WHEEL_BYTES = 2 << 30
TREE_RECIPE = 1
"""Of how trees are made of wheels: part of a tree's digest."""


class Found(msgspec.Struct, frozen=True):
    """The wheels of a lock, in its order; `archives` are their paths in the store, `digest` that of their tree."""

    files: tuple[Measured, ...]
    archives: tuple[str, ...]
    digest: str


class Wheels:
    """Finds and unpacks wheels for one run."""

    def __init__(
        self,
        store: InputStore,
        wheelhouse: Wheelhouse | None,
        sandbox: Sandbox,
        interpreters: Interpreters,
        scratch: Scratch,
        trees: RunTrees,
        index: WheelIndex | None = None,
    ) -> None:
        self._trees = trees
        self._index = index
        self._store = store
        self._wheelhouse = wheelhouse
        self._sandbox = sandbox
        self._interpreters = interpreters
        self._scratch = scratch
        self.root: str | None = None
        """The image that the wheels have to run in."""

    async def find(self, lock: bytes, *, what: str) -> Found:
        """Return the wheels that a lock file's text names, for the sandbox's interpreter.

        Raises:
            InputValidationError: it is no hash-locked requirements file.
            NotFoundError: there is no wheel of a declared digest; the message names declared and observed.
            InputRejectedError: a wheel changed between measuring and copying.
        """
        requirements = parse_lock(lock, what=what)
        if self._wheelhouse is None and self._index is None:
            raise NotFoundError(
                "this worker has no wheelhouse: its settings name no directory of wheels, its policy no index"
            )
        files: list[Measured] = []
        archives: list[str] = []
        for requirement in requirements:
            file, blob = await self._wheel(requirement)
            files.append(Measured(file, blob.sha256, blob.size, requirement.sha256))
            archives.append(blob.path)
        made = digest({"recipe": TREE_RECIPE, "files": [[file.name, file.sha256] for file in files]})
        return Found(tuple(files), tuple(archives), made)

    async def tree(self, found: Found) -> tuple[str, bool]:
        """Return the path of the wheels' tree, and whether it was there already."""
        there = self._trees.get(found.digest)
        if there is not None:
            return there, True
        name = self._trees.new_name()
        done = await self._sandbox.unpack(UnpackRequest(found.archives, self._scratch, tree=name))
        if done.problem is not None:
            raise InputRejectedError(f"the wheels can't be unpacked: {done.problem}")
        return await self._trees.keep(name, found.digest, done), False

    async def _wheel(self, requirement: Requirement) -> tuple[str, Blob]:
        """Return the wheel of the wheelhouse, or else of the index."""
        interpreter = await self._interpreters.of(self._sandbox, self._scratch, self.root)
        wheelhouse = self._wheelhouse
        if wheelhouse is None:
            return await self._of_index(requirement, interpreter)
        there = await asyncio.to_thread(wheelhouse.candidates, requirement.name)
        chosen = choose(requirement, there, interpreter)
        if isinstance(chosen, str):
            if self._index is not None:
                return await self._of_index(requirement, interpreter)
            raise NotFoundError(chosen)
        sha256, file = chosen
        blob = await self._store.verified(sha256)
        if blob is None:
            blob = await self._store.add(
                wheelhouse.read(file), what=file, max_bytes=MAX_WHEEL_BYTES, sha256=sha256
            )
        return file, blob

    async def _of_index(self, requirement: Requirement, interpreter: Interpreter) -> tuple[str, Blob]:
        if self._index is None:
            raise AssertionError("find asks for one of both")
        there = await self._index.candidates(requirement.name)
        chosen = choose(requirement, {sha256: file.filename for sha256, file in there.items()}, interpreter)
        if isinstance(chosen, str):
            raise NotFoundError(f"{self._index.url}: {chosen}")
        sha256, name = chosen
        blob = await self._store.verified(sha256)
        if blob is not None:
            return name, blob
        index = self._index

        async def attempt() -> Blob:
            async with index.open(there[sha256], MAX_WHEEL_BYTES) as chunks:
                return await self._store.add(chunks, what=name, max_bytes=MAX_WHEEL_BYTES, sha256=sha256)

        return name, await repeated(attempt)
