"""The chain of trust of a task, walked by the control plane for a page: what it finds, anybody finds again offline.

It reads with the caller's scopes: what the caller may not read is missing from the walk, and the walk says so.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from liftlock.domain.provenance.chain import CHAIN_NAME, MAX_CHAIN_BYTES, SIGNATURE_NAME
from liftlock.domain.provenance.evidence import (
    FORMAT,
    Evidence,
    RunEvidence,
    is_document,
    object_in,
    producers_of,
)
from liftlock.domain.provenance.walk import Check, Walk
from liftlock.domain.pushes.push import Push
from liftlock.domain.tasks.artifacts import Artifact, Content, need_to_read
from liftlock.errors import InputInvalidError, LiftlockError, NotFoundError, RefusedError
from liftlock.ports.blobs import Blobs
from liftlock.ports.push_store import PushStore
from liftlock.ports.trusted_keys import TrustedKeys
from liftlock.services.artifact_reads import ArtifactReads
from liftlock.services.authorize import Caller
from liftlock.values.json import decode

MANIFEST: Final = "public/inputs.json"
MAX_RUNS: Final = 200
"""Runs that one page walks; `liftlock task verify` walks more."""
MAX_DOCUMENT_BYTES: Final = 64 << 20
MAX_MANIFEST_BYTES: Final = 16 << 20
MAX_MEASURED_BYTES: Final = 2 << 30
"""Bytes that one verification reads again; what is beyond stays as it was measured when it came."""
MAX_ARTIFACTS: Final = 1_000
_SIGNATURE_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class ProvenanceSeen:
    """What was found: `manifest` as the worker wrote it, None if there is none to be seen; `measured` if bytes were read."""

    checks: tuple[Check, ...]
    holds: bool
    level: int
    manifest: dict[str, Any] | None
    has_chain: bool
    measured: bool
    cut: bool


@dataclass(slots=True)
class _Gathered:
    """What one walk is given, while it is gathered."""

    caller: Caller
    now: datetime
    runs: dict[str, RunEvidence] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    pushes: dict[str, dict[str, Any]] = field(default_factory=dict)


class SeeProvenance:
    """Walks chains of trust for those who look."""

    def __init__(
        self,
        reads: ArtifactReads,
        blobs: Blobs,
        pushes: PushStore,
        keys: TrustedKeys,
        push_document: Callable[[Push], dict[str, Any]],
    ) -> None:
        self._reads = reads
        self._blobs = blobs
        self._pushes = pushes
        self._keys = keys
        self._push_document = push_document

    async def __call__(
        self, caller: Caller, task_id: str, now: datetime, *, measure: bool = False
    ) -> ProvenanceSeen:
        """Return what a walk from the task's last run to its push finds.

        Args:
            measure: Read every artifact of the task again, instead of taking the digests measured when they came.
        """
        gathered = _Gathered(caller, now)
        waiting = [task_id]
        while waiting and len(gathered.runs) < MAX_RUNS:
            each = waiting.pop()
            if each not in gathered.runs and each not in gathered.missing:
                waiting += await self._take(gathered, each, target=each == task_id, measure=measure)
        evidence = Evidence(
            FORMAT, task_id, "", tuple(gathered.runs.values()), gathered.pushes, gathered.missing
        )
        walk = Walk(evidence, self._keys.current())
        holds = walk()
        return ProvenanceSeen(
            tuple(walk.checks),
            holds,
            walk.level,
            await self._manifest(gathered, task_id),
            task_id in gathered.runs,
            measure,
            bool(waiting),
        )

    async def _take(self, gathered: _Gathered, task_id: str, *, target: bool, measure: bool) -> list[str]:
        """Take one run; return the tasks that it leads to."""
        try:
            content = await self._bytes(gathered, task_id, CHAIN_NAME, MAX_CHAIN_BYTES)
            signature = await self._bytes(gathered, task_id, SIGNATURE_NAME, _SIGNATURE_BYTES)
        except (NotFoundError, RefusedError, InputInvalidError) as error:
            gathered.missing[task_id] = error.message
            return []
        said = _object(content)
        documents = {}
        for name in sorted(filter(is_document, object_in(said, "artifacts"))):
            try:
                documents[name] = await self._bytes(gathered, task_id, name, MAX_DOCUMENT_BYTES)
            except (NotFoundError, RefusedError, InputInvalidError):
                continue
        observed = await self._observed(gathered, task_id, measure=measure) if target else {}
        gathered.runs[task_id] = RunEvidence(task_id, content, signature, observed, documents)
        task = object_in(said, "task")
        group = str(task.get("taskGroupId"))
        if task_id == group:
            await self._push(gathered, group)
        return [str(object_in(task, "extra").get("parent") or group), group, *producers_of(said)]

    async def _push(self, gathered: _Gathered, group: str) -> None:
        push = await self._pushes.push_of_task(group)
        if push is not None and gathered.caller.satisfies(f"pushes:list-pushes:{push.project}"):
            gathered.pushes[group] = self._push_document(push)

    async def _observed(self, gathered: _Gathered, task_id: str, *, measure: bool) -> dict[str, str]:
        """Return the sha256 of the artifacts of the last run that the caller may read, by name."""
        try:
            listed = await self._reads.listed(gathered.caller, task_id, None, "", MAX_ARTIFACTS)
        except (NotFoundError, RefusedError):
            return {}
        found, left = {}, MAX_MEASURED_BYTES
        for one in listed:
            content = await self._content(gathered, task_id, one)
            if content is None:
                continue
            left -= content.length if measure else 0
            found[one.name] = await self._measured(content) if measure and left >= 0 else content.sha256
        return found

    async def _content(self, gathered: _Gathered, task_id: str, one: Artifact) -> Content | None:
        if one.declared.storage == "error":
            return None
        if one.content is not None and gathered.caller.satisfies(need_to_read(one.name)):
            return one.content
        try:
            return (await self._reads.find(gathered.caller, task_id, None, one.name, gathered.now))[1].content
        except LiftlockError:
            return None

    async def _measured(self, content: Content) -> str:
        """Return the sha256 of the uncompressed bytes as they are stored now, or why there is none."""
        digest = hashlib.sha256()
        unpack = zlib.decompressobj(31) if content.encoding == "gzip" else None
        try:
            async for chunk in self._blobs.read(content.blob):
                digest.update(chunk if unpack is None else unpack.decompress(chunk))
        except (LiftlockError, zlib.error) as error:
            return f"nothing: {error}"
        return digest.hexdigest()

    async def _manifest(self, gathered: _Gathered, task_id: str) -> dict[str, Any] | None:
        try:
            return _object(await self._bytes(gathered, task_id, MANIFEST, MAX_MANIFEST_BYTES)) or None
        except (NotFoundError, RefusedError, InputInvalidError):
            return None

    async def _bytes(self, gathered: _Gathered, task_id: str, name: str, most: int) -> bytes:
        _, found = await self._reads.find(gathered.caller, task_id, None, name, gathered.now)
        if found.content is None:
            raise NotFoundError(f"task {task_id} has no stored artifact {name!r}")
        return await self._reads.whole(found.content, most=most)


def _object(content: bytes) -> dict[str, Any]:
    """Return the object that `content` is, empty if it is none: a worker may have written anything."""
    try:
        found = decode(content, what="document")
    except LiftlockError:
        return {}
    return found if isinstance(found, dict) else {}
