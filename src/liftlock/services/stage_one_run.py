"""What stage 1 left: its chain of trust and what is stored of its artifacts, read by liftlock itself."""

from __future__ import annotations

import zlib
from typing import Final

from liftlock.domain.approvals.request import FrozenFile
from liftlock.domain.operations.contract import MAX_FILES, PREFIX
from liftlock.domain.operations.freezing import Broken, ChainBytes, Stored
from liftlock.domain.provenance.chain import CHAIN_NAME, SIGNATURE_NAME
from liftlock.errors import StorageError
from liftlock.ports.artifact_store import ArtifactStore
from liftlock.ports.blobs import Blobs

MAX_CHAIN_BYTES: Final = 8 << 20
MAX_SIGNATURE_BYTES: Final = 1024
MAX_SHOWN_BYTES: Final = 64 << 20
"""A larger file that crosses is not compared for people; its digest is all that they see."""
MAX_RUNS: Final = 10
_PAGE: Final = 1000


class StageOneRun:
    """Reads artifacts of runs, without unpacking or interpreting any."""

    def __init__(self, artifacts: ArtifactStore, blobs: Blobs) -> None:
        self._artifacts = artifacts
        self._blobs = blobs

    async def chain(self, task_id: str, run_id: int) -> ChainBytes | Broken:
        """Return the chain of trust and its signature, or why there is none."""
        content = await self._bytes(task_id, run_id, CHAIN_NAME, MAX_CHAIN_BYTES)
        signature = await self._bytes(task_id, run_id, SIGNATURE_NAME, MAX_SIGNATURE_BYTES)
        if content is None or signature is None:
            return Broken("chain", f"run {run_id} of stage 1 has no chain of trust")
        return ChainBytes(content, signature)

    async def stored(self, task_id: str, run_id: int) -> dict[str, Stored]:
        """Return artifact → what is stored, for at most `MAX_FILES` of what would cross."""
        found: dict[str, Stored] = {}
        after = PREFIX
        while len(found) <= MAX_FILES:
            page = await self._artifacts.listed(task_id, run_id, after, _PAGE)
            for one in page:
                if one.name.startswith(PREFIX) and one.content is not None:
                    found[one.name] = Stored(one.content.sha256, one.content.length)
            if len(page) < _PAGE or not page[-1].name.startswith(PREFIX):
                break
            after = page[-1].name
        return found

    async def content(self, task_id: str, run_id: int, file: FrozenFile) -> bytes | str:
        """Return the bytes of a file that crosses, of the digest that was frozen, or why they can't be had."""
        if file.size > MAX_SHOWN_BYTES:
            return f"it has {file.size} bytes; at most {MAX_SHOWN_BYTES} are looked at"
        name = PREFIX + file.path
        found = (await self._artifacts.chain(task_id, run_id, name)).get(name)
        if found is None or found.content is None or found.content.sha256 != file.sha256:
            return "it is not stored any more"
        try:
            return await self._bytes(task_id, run_id, name, MAX_SHOWN_BYTES) or b""
        except StorageError as error:
            return error.message

    async def made(self, task_id: str, name: str) -> bytes:
        """Return an artifact of the task's first run that has it, at most `MAX_SHOWN_BYTES`; nothing if there is none."""
        for run_id in range(MAX_RUNS):
            found = await self._bytes(task_id, run_id, name, MAX_SHOWN_BYTES)
            if found is not None:
                return found
        return b""

    async def _bytes(self, task_id: str, run_id: int, name: str, most: int) -> bytes | None:
        found = (await self._artifacts.chain(task_id, run_id, name)).get(name)
        if found is None or found.content is None or found.content.length > most:
            return None
        content = found.content
        raw = b"".join([chunk async for chunk in self._blobs.read(content.blob)])
        if content.encoding == "gzip":
            return zlib.decompressobj(wbits=31).decompress(raw, most)
        return raw
