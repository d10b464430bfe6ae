"""Gets what one stage 2 is about: the handoff, the chain of trust of stage 1, and the files that cross, each measured.

Nothing of it is believed here; `domain.operations.admission` decides.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from liftlock.domain.approvals.approval import read_approval
from liftlock.domain.approvals.request import FrozenRequest, read_frozen
from liftlock.domain.operations.admission import Handed
from liftlock.domain.operations.contract import MAX_FILES, PREFIX, is_plain_path
from liftlock.domain.operations.freezing import ChainBytes, Stored
from liftlock.domain.provenance.chain import CHAIN_NAME, SIGNATURE_NAME
from liftlock.errors import InputValidationError
from liftlock.privileged.parts import Parts

MAX_CHAIN_BYTES: Final = 8 << 20
MAX_SIGNATURE_BYTES: Final = 1024
MAX_APPROVALS: Final = 1000
SCOPES: Final = (f"queue:get-artifact:{PREFIX}*", "queue:get-artifact:public/*")


@dataclass(frozen=True, slots=True)
class Gathered:
    """What was handed over, and the files' contents by path."""

    handed: Handed
    files: dict[str, bytes]


class Gathering:
    """Asks the control plane with the worker's own credentials."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def __call__(self, task_id: str) -> Gathered:
        """Return all that concerns the stage 2 `task_id`.

        Raises:
            InputValidationError: what was handed over has not the form that it has to have.
            LiftlockError: it can't be had; see the clients' ports.
        """
        said = await self._parts.handoff.handoff(self._parts.credentials, task_id)
        request = read_frozen(said.get("frozen"))
        approvals = _approvals(said.get("approvals"))
        stage_one = request.stage1.task_id
        chain = ChainBytes(
            await self._artifact(stage_one, CHAIN_NAME, MAX_CHAIN_BYTES),
            await self._artifact(stage_one, SIGNATURE_NAME, MAX_SIGNATURE_BYTES),
        )
        files = await self._files(request)
        stored = {
            PREFIX + path: Stored(hashlib.sha256(content).hexdigest(), len(content))
            for path, content in files.items()
        }
        return Gathered(Handed(request, approvals, chain, stored), files)

    async def _files(self, request: FrozenRequest) -> dict[str, bytes]:
        """Return path → content; no more is read than this worker's own contract lets cross."""
        operation = self._parts.own.operations.get(request.operation)
        left = 0 if operation is None else operation.contract.max_total_bytes
        if len(request.stage1.files) > MAX_FILES:
            raise InputValidationError(f"frozen request: more than {MAX_FILES} files")
        found: dict[str, bytes] = {}
        for one in request.stage1.files:
            if not is_plain_path(one.path):
                raise InputValidationError(f"frozen request: {one.path[:200]!r} is no plain path")
            content = await self._artifact(request.stage1.task_id, PREFIX + one.path, left)
            left -= len(content)
            found[one.path] = content
        return found

    async def _artifact(self, task_id: str, name: str, most: int) -> bytes:
        async with self._parts.queue.artifact(self._parts.credentials, SCOPES, task_id, name) as chunks:
            return await _joined(chunks, name, most)


async def _joined(chunks: AsyncIterator[bytes], name: str, most: int) -> bytes:
    content = bytearray()
    async for chunk in chunks:
        content += chunk
        if len(content) > most:
            raise InputValidationError(f"{name}: it is larger than what may cross, {most} bytes")
    return bytes(content)


def _approvals(given: Any) -> list[Any]:
    if not isinstance(given, list) or len(given) > MAX_APPROVALS:
        raise InputValidationError(f"approvals: expected a list of at most {MAX_APPROVALS}")
    return [read_approval(each) for each in given]
