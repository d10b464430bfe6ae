"""The index: namespaces, and what the routes `index.<namespace>` of a task insert when it completes.

Source: docs/reference/index.md
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from liftlock.errors import InputInvalidError, RequestArgumentsError
from liftlock.values.instants import parse_instant, to_ms

ROUTE_PREFIX = "index."
MAX_NAMESPACE = 255
_NAMESPACE = re.compile(r"([a-zA-Z0-9_!~*'()%-]+\.)*[a-zA-Z0-9_!~*'()%-]+\Z", re.ASCII)


class IndexEntry(msgspec.Struct, frozen=True):
    """What `namespace` leads to. `rank` decides between tasks of one namespace: the greatest, and then the latest."""

    namespace: str
    rank: float
    data: Any
    expires_ms: int


def namespace(text: str) -> str:
    """Parse the path of an indexed task: parts of `[a-zA-Z0-9_!~*'()%-]` joined by dots, 1 to 255 characters."""
    if len(text) > MAX_NAMESPACE or _NAMESPACE.match(text) is None:
        raise RequestArgumentsError(
            f"namespace: expected up to {MAX_NAMESPACE} characters, parts of [a-zA-Z0-9_!~*'()%-] joined by dots,"
            f" got {text[:128]!r}"
        )
    return text


def split_namespace(path: str) -> tuple[str, str]:
    """Return the parent namespace (may be empty) and the last part."""
    parent, _, name = path.rpartition(".")
    return parent, name


def ancestors(path: str) -> list[str]:
    """Return every namespace above `path`, nearest last, without the empty one."""
    parts = path.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def entries_of(
    routes: tuple[str, ...], extra: Mapping[str, Any], task_expires_ms: int
) -> tuple[IndexEntry, ...]:
    """Return what completing a task with these routes inserts.

    Args:
        extra: The definition's `extra`; `index: {rank, data, expires}` in it is used.
    Raises:
        InputInvalidError: a route names an impossible namespace, or `extra.index` is of the wrong form.
    """
    paths = [route[len(ROUTE_PREFIX) :] for route in routes if route.startswith(ROUTE_PREFIX)]
    if not paths:
        return ()
    given = extra.get("index", {})
    if not isinstance(given, dict):
        raise InputInvalidError("extra.index: expected an object")
    rank, data = given.get("rank", 0), given.get("data", {})
    if isinstance(rank, bool) or not isinstance(rank, int | float):
        raise InputInvalidError("extra.index.rank: expected a number")
    expires_ms = task_expires_ms
    if "expires" in given:
        expires_ms = min(expires_ms, to_ms(parse_instant(str(given["expires"]), what="extra.index.expires")))
    for path in paths:
        try:
            namespace(path)
        except RequestArgumentsError as error:
            raise InputInvalidError(f"routes: {ROUTE_PREFIX}{path}: {error.message}") from error
    return tuple(IndexEntry(path, float(rank), data, expires_ms) for path in paths)
