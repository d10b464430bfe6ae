"""What a frozen request has that an earlier one of the same operation had not: for people who have to judge it.

Nothing is decided by this. What is approved is the digest of the whole.

Source: docs/reference/pages.md#operations
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

from liftlock.domain.approvals.request import FrozenRequest

MAX_DIFFERENCES: Final = 200
MAX_TEXT: Final = 300
_IGNORED: Final = frozenset(
    {"format", "operationId", "requested", "expires", "stage2TaskId", "stage1.taskId", "stage1.chainSha256"}
)
"""What is another in every request, whatever it is for."""
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z", re.ASCII)
Kind = Literal["added", "removed", "changed"]


class Difference(msgspec.Struct, frozen=True):
    """One place: `before` and `after` as short texts (values as JSON), empty where there is nothing."""

    kind: Kind
    place: str
    before: str
    after: str


def differences(before: FrozenRequest, after: FrozenRequest) -> tuple[Difference, ...]:
    """Return how `after` differs from `before`, sorted by place; `MAX_DIFFERENCES` at most."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    found = [
        _difference(place, old.get(place), new.get(place))
        for place in sorted(old.keys() | new.keys())
        if old.get(place) != new.get(place)
    ]
    return tuple(found[:MAX_DIFFERENCES])


def _difference(place: str, before: str | None, after: str | None) -> Difference:
    kind: Kind = "added" if before is None else "removed" if after is None else "changed"
    return Difference(kind, place, (before or "")[:MAX_TEXT], (after or "")[:MAX_TEXT])


def _leaves(request: FrozenRequest) -> Iterator[tuple[str, str]]:
    """Yield (place, text) for every part of the request; files are named by their paths, lines by themselves."""
    document = request.document
    stage = document.pop("stage1")
    for file in stage.pop("files"):
        yield f"files: {file['path']}", f"sha256 {file['sha256']}, {file['size']} bytes"
    for line in document.pop("contract"):
        yield f"contract: {line}", "holds"
    yield from _walk("", {**document, "stage1": stage})


def _walk(place: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield the leaves as JSON: a text and a number that look alike are two things, and so are a name and a path."""
    if place in _IGNORED:
        return
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from _walk(_below(place, str(key)), each)
    elif isinstance(value, list) and value:
        for number, each in enumerate(value):
            yield from _walk(f"{place}[{number}]", each)
    else:
        yield place, msgspec.json.encode(value).decode()


def _below(place: str, key: str) -> str:
    if not place:
        return key
    return f"{place}.{key}" if _PLAIN.match(key) else f"{place}[{msgspec.json.encode(key).decode()}]"
