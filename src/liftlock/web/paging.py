"""Lists in pages: `limit` and an opaque `continuationToken`.

Source: docs/reference/queue.md#lists
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from liftlock.errors import MalformedPayloadError, RequestArgumentsError
from liftlock.values.json import decode_as

T = TypeVar("T", int, str)

MAX_LIMIT = 1000
QUERY = ("continuationToken", "limit")
"""The query options that every list takes."""


def limit_of(query: Mapping[str, str]) -> int:
    """Return how many entries are wanted: 1 to `MAX_LIMIT`, `MAX_LIMIT` by default."""
    text = query.get("limit", str(MAX_LIMIT))
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not 1 <= int(text) <= MAX_LIMIT:
        raise RequestArgumentsError(f"limit: expected 1 to {MAX_LIMIT}, got {text[:32]!r}")
    return int(text)


def number_after(query: Mapping[str, str]) -> int:
    """Return the number that the token holds, 0 without one."""
    [number] = _parts(query, [0], int)
    return number


def texts_after(query: Mapping[str, str], count: int) -> list[str]:
    """Return the `count` texts that the token holds, empty ones without one."""
    return _parts(query, [""] * count, str)


def token(*parts: int | str) -> str:
    """Return the token that holds `parts`."""
    return base64.urlsafe_b64encode(msgspec.json.encode(parts)).decode().rstrip("=")


def _parts(query: Mapping[str, str], default: list[T], kind: type[T]) -> list[T]:
    text = query.get("continuationToken")
    if text is None:
        return default
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        parts: list[T] = decode_as(raw, list[kind], what="continuationToken")  # type: ignore[valid-type]  # int or str, by value
    except (binascii.Error, ValueError, MalformedPayloadError) as error:
        raise RequestArgumentsError(
            "continuationToken: expected one from an earlier page of this list"
        ) from error
    if len(parts) != len(default):
        raise RequestArgumentsError("continuationToken: it is from another list")
    if not all(_is_stored(part) for part in parts):
        raise RequestArgumentsError("continuationToken: expected one from an earlier page of this list")
    return parts


def _is_stored(part: int | str) -> bool:
    """Tell whether a database could hold `part`: it is compared with what does."""
    return "\x00" not in part if isinstance(part, str) else abs(part) < 2**63
