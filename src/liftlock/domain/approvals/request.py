"""The frozen request: all that will run, as one document. Its digest is what people approve; any change is another digest.

Source: docs/reference/approvals.md#frozen
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from liftlock.errors import InputValidationError
from liftlock.values.json import UNDECODABLE, canonical, digest

FORMAT: Final = "liftlock-frozen-request-1"


class FrozenFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file that crosses: path, lower-case hexadecimal sha256, size in bytes."""

    path: str
    sha256: str
    size: int


class FrozenStage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The run of stage 1 whose files these are; `files` sorted by path, `chain_sha256` of its chain of trust."""

    task_id: str
    run_id: int
    chain_sha256: str
    pool: str
    level: int
    files: tuple[FrozenFile, ...]


class FrozenRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """What is approved. `contract`: the rules that were checked and held, in words."""

    format: str = FORMAT
    operation_id: str
    operation: str
    operation_version: str
    hook_version: str
    requester: str
    requested: datetime
    project: str
    identity: str
    ref: str
    revision: str
    input: Any
    stage1: FrozenStage
    contract: tuple[str, ...]
    stage2_task_id: str
    expires: datetime

    @property
    def document(self) -> dict[str, Any]:
        """The request as JSON."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found

    @property
    def digest(self) -> str:
        """The lower-case hexadecimal sha256 of the canonical form."""
        return digest(self.document)

    def canonical(self) -> bytes:
        """Return the bytes that the digest is of."""
        return canonical(self.document)


def read_frozen(document: Any) -> FrozenRequest:
    """Return the frozen request that `document` (JSON, decoded) is; InputValidationError: it is none."""
    try:
        found = msgspec.convert(document, FrozenRequest)
    except UNDECODABLE as error:
        raise InputValidationError(f"frozen request: {error}") from error
    if found.format != FORMAT:
        raise InputValidationError(f"frozen request: expected format {FORMAT}, got {found.format[:40]!r}")
    return found
