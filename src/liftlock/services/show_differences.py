"""Show how each file that an operation lets cross differs from its last release and from the source tree.

The control plane only carries bytes: a confined process unpacks and compares them. Nothing of the repository runs.

Source: docs/reference/approvals.md#differences
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final, Protocol

import msgspec

from liftlock.domain.approvals.request import FrozenFile, FrozenRequest
from liftlock.domain.operations.definition import Operation
from liftlock.domain.operations.differences import (
    Against,
    Difference,
    DifferenceQuestion,
    counterpart_of,
    is_packed,
    places,
    previous_release,
)
from liftlock.domain.operations.parsings import MembersQuestion, question, read_difference, read_members
from liftlock.domain.pushes.project import Project
from liftlock.domain.scopes.satisfaction import AllOf, AnyOf
from liftlock.errors import ConflictError, LiftlockError, NotFoundError
from liftlock.ports.confined_parser import ConfinedParser
from liftlock.ports.operation_store import OperationQuery, OperationRecord, OperationStore
from liftlock.ports.package_index import PackageIndex
from liftlock.ports.push_store import PushStore
from liftlock.ports.source_tree import SourceTree
from liftlock.services.authorize import Caller
from liftlock.services.configured_operations import ConfiguredOperations

MAX_SOURCE_BYTES: Final = 32 << 20
MAX_FILES: Final = 200
"""Files of one request that are compared."""
MAX_RELEASED_BYTES: Final = 64 << 20
KEPT: Final = 16


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """The differences of one frozen request. `last`: the operation that performed the last release; None: none did."""

    operation_id: str
    digest: str
    revision: str
    last: str | None
    files: tuple[Difference, ...]


class StageOneFiles(Protocol):
    """The files that crossed; see `stage_one_run`."""

    async def content(self, task_id: str, run_id: int, file: FrozenFile) -> bytes | str:
        """Return the file's bytes, of the digest that was frozen, or why they can't be had."""
        ...


class _Source(msgspec.Struct, frozen=True):
    """The source tree at the revision; `root`: the folder of artifacts that mirrors it, for files that are committed."""

    project: Project
    revision: str
    paths: list[str]
    root: str | None


class _Released(msgspec.Struct, frozen=True):
    """The files of the last release of `project` on the index `simple`, or why they can't be listed."""

    simple: str
    project: str
    files: tuple[str, ...]
    problem: str = ""


class ShowDifferences:
    """Compares; what was compared for a digest is kept for a while."""

    def __init__(
        self,
        configured: ConfiguredOperations,
        store: OperationStore,
        files: StageOneFiles,
        pushes: PushStore,
        tree: SourceTree,
        index: PackageIndex,
        parser: ConfinedParser,
    ) -> None:
        self._configured = configured
        self._store = store
        self._files = files
        self._pushes = pushes
        self._tree = tree
        self._index = index
        self._parser = parser
        self._kept: dict[tuple[str, str | None], Compared] = {}
        self._busy = asyncio.Lock()

    async def __call__(self, caller: Caller, operation_id: str) -> Compared:
        """Return the differences of what is frozen; a file that can't be compared says so itself.

        Raises:
            RefusedError: the caller may neither ask for nor approve this operation.
            NotFoundError: there is no such operation.
            ConflictError: nothing is frozen.
        """
        caller.require("liftlock:list-operations")
        record = await self._store.operation(operation_id)
        if record is None:
            raise NotFoundError(f"operation {operation_id[:64]} does not exist")
        name = record.operation
        caller.require(
            AllOf("liftlock:list-operations", AnyOf(f"liftlock:approve:{name}", f"liftlock:request:{name}"))
        )
        frozen, operation = record.frozen, self._configured.find(name)
        if frozen is None or operation is None:
            raise ConflictError(f"operation {operation_id} is {record.state}: nothing is frozen")
        last = await self._last(record)
        key = (frozen.digest, None if last is None else last.operation_id)
        async with self._busy:
            found = self._kept.get(key) or await self._compare(frozen, operation, last)
            self._kept[key] = found
            while len(self._kept) > KEPT:
                del self._kept[next(iter(self._kept))]
        return found

    async def _last(self, record: OperationRecord) -> OperationRecord | None:
        """Return the newest operation of this name, before this one, that was performed."""
        query = OperationQuery(
            operation=record.operation, states=("done",), before_number=record.number, limit=1
        )
        return next(iter(await self._store.operations(query)), None)

    async def _compare(
        self, frozen: FrozenRequest, operation: Operation, last: OperationRecord | None
    ) -> Compared:
        source = await self._source(frozen, operation)
        before = None if last is None else last.frozen
        released = await self._released(frozen, operation) if before is None else None
        found: list[Difference] = []
        for file in frozen.stage1.files[:MAX_FILES]:
            if before is not None and (not isinstance(source, _Source) or source.root is None):
                found.append(await self._against_last(frozen, file, before))
            elif released is not None:
                found.append(await self._against_index(frozen, file, released))
            if isinstance(source, _Source):
                found.append(await self._against_source(frozen, file, source))
            elif is_packed(file.path):
                found.append(Difference(file.path, "source", frozen.revision, problem=source))
        return Compared(
            operation_id=frozen.operation_id,
            digest=frozen.digest,
            revision=frozen.revision,
            last=None if last is None else last.operation_id,
            files=tuple(found),
        )

    async def _source(self, frozen: FrozenRequest, operation: Operation) -> _Source | str:
        """Return the source tree, or why it can't be read."""
        project = await self._pushes.project(frozen.project)
        if project is None:
            return f"project {frozen.project} is not registered any more"
        commits = operation.stage2.kind == "commit-files"
        root = str(operation.stage2.settings.get("root", "tree")) if commits else None
        try:
            paths = await self._tree.paths(project, frozen.revision)
        except LiftlockError as error:
            return error.message
        return _Source(project, frozen.revision, paths, root)

    async def _against_last(
        self, frozen: FrozenRequest, file: FrozenFile, before: FrozenRequest
    ) -> Difference:
        files = {one.path: one for one in before.stage1.files}
        name = counterpart_of(file.path, list(files))
        if name is None:
            return Difference(file.path, "last", "", problem="the last release has no such file")
        if files[name].sha256 == file.sha256:
            return Difference(file.path, "last", name, same=1)
        now, then = (
            await self._files.content(frozen.stage1.task_id, frozen.stage1.run_id, file),
            await self._files.content(before.stage1.task_id, before.stage1.run_id, files[name]),
        )
        if isinstance(now, str) or isinstance(then, str):
            problem = now if isinstance(now, str) else str(then)
            return Difference(file.path, "last", name, problem=problem)
        return await self._answer(DifferenceQuestion(file.path, now, "last", name, {name: then}))

    async def _released(self, frozen: FrozenRequest, operation: Operation) -> _Released | None:
        """Return the last release on the index, of an operation that publishes there and has not done so before."""
        told = operation.stage2.settings
        if operation.stage2.kind != "publish-distribution" or not isinstance(frozen.input, dict):
            return None
        simple, project = str(told.get("simple", "")), str(told.get("name", ""))
        version = str(frozen.input.get(str(told.get("versionField", "version")), ""))
        try:
            names = previous_release(await self._index.files(simple, project), version)
        except LiftlockError as error:
            return _Released(simple, project, (), error.message)
        return _Released(simple, project, tuple(names)) if names else None

    async def _against_index(
        self, frozen: FrozenRequest, file: FrozenFile, released: _Released
    ) -> Difference:
        name = counterpart_of(file.path, released.files)
        if name is None:
            why = released.problem or "the last release on the index has no such file"
            return Difference(file.path, "last", "", problem=why)
        now = await self._files.content(frozen.stage1.task_id, frozen.stage1.run_id, file)
        try:
            then = await self._index.fetch(
                released.simple, released.project, name, max_bytes=MAX_RELEASED_BYTES
            )
        except LiftlockError as error:
            return Difference(file.path, "last", name, problem=error.message)
        if isinstance(now, str) or then is None:
            return Difference(file.path, "last", name, problem=now if isinstance(now, str) else "it is gone")
        return await self._answer(DifferenceQuestion(file.path, now, "last", name, {name: then}))

    async def _against_source(self, frozen: FrozenRequest, file: FrozenFile, source: _Source) -> Difference:
        place = "" if source.root is None else file.path.removeprefix(f"{source.root}/")
        if not is_packed(file.path) and not place:
            return Difference(
                file.path, "source", "", problem="it is no distribution, so no file of the source is its like"
            )
        now = await self._files.content(frozen.stage1.task_id, frozen.stage1.run_id, file)
        if isinstance(now, str):
            return Difference(file.path, "source", source.revision, problem=now)
        try:
            candidates = [place] if place else list(await self._candidates(file.path, now, source))
            before = await self._tree.contents(
                source.project, source.revision, candidates, max_bytes=MAX_SOURCE_BYTES
            )
        except LiftlockError as error:
            return Difference(file.path, "source", source.revision, problem=error.message)
        tree = source.paths if is_packed(file.path) else []
        asked = DifferenceQuestion(file.path, now, "source", source.revision, before, tree, place)
        return await self._answer(asked)

    async def _candidates(self, path: str, content: bytes, source: _Source) -> Iterable[str]:
        """Return the paths of the source that the distribution's members may come from."""
        answer = await self._parser.parse("members", question(MembersQuestion(path, content)))
        return places(read_members(answer), source.paths).values()

    async def _answer(self, asked: DifferenceQuestion) -> Difference:
        """Return what the confined process says; that it was ended is the problem of this file alone."""
        against: Against = asked.against
        try:
            return read_difference(await self._parser.parse("difference", question(asked)))
        except LiftlockError as error:
            return Difference(asked.path, against, asked.counterpart, problem=error.message)
