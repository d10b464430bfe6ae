"""Which staged files are promoted: stage 1's manifest, parsed in a confined process.

Source: docs/reference/operations.md#promote-release
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from liftlock.errors import InputValidationError, MalformedPayloadError
from liftlock.values.json import decode_as
from liftlock.values.packets import unpack_as

MAX_FILES: Final = 100
_encode = msgspec.msgpack.Encoder().encode


class Staged(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file on the staging index: its name, and its lower-case hexadecimal sha256."""

    filename: Annotated[
        str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+!-]*\.(whl|tar\.gz)$", max_length=200)
    ]
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]


class _Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    files: Annotated[list[Staged], msgspec.Meta(min_length=1, max_length=MAX_FILES)]


def parse_manifest(given: bytes) -> bytes:
    """Return the packed list of what the manifest (JSON, `{"files": [{"filename", "sha256"}]}`) names, each file once.

    Raises:
        InputValidationError: it is none.
    """
    try:
        found = decode_as(given, _Manifest, what="manifest").files
    except MalformedPayloadError as error:
        raise InputValidationError(error.message) from error
    names = [one.filename for one in found]
    if len(set(names)) != len(names):
        raise InputValidationError("manifest: a file is named twice")
    return _encode(found)


def read_staged(answer: bytes) -> list[Staged]:
    """Return the answer of `parse_manifest`."""
    try:
        found: list[Staged] = unpack_as(answer, list[Staged], what="parsing")
    except MalformedPayloadError as error:
        raise InputValidationError(error.message) from error
    return found
