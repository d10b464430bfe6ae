"""The contract: which files of stage 1 may cross to stage 2. Names, counts, sizes and types, each by digest.

What does not fit is refused with the file and the rule. Nothing is executed, imported or unpacked to decide this.

Source: docs/reference/operations.md#contract
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Final, Literal

import msgspec

from liftlock.errors import InputInvalidError, MalformedPayloadError
from liftlock.values.json import decode

PREFIX: Final = "artifacts/"
"""What the names of stage 1's artifacts begin with; what is not below it does not cross and is not looked at."""
MAX_FILES: Final = 10_000
MAX_BYTES: Final = 4 << 30
_PATH: Final = re.compile(r"[^\x00-\x1f\x7f\\:]{1,1000}\Z")

ContentType = Literal["bytes", "text", "json", "zip", "gzip"]
Rule = Literal["names", "count", "size", "total", "type", "regular", "digest", "path", "level"]


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Files whose path matches `names` (`*` stays within one part of a path, `**` does not): how many, how large, what.

    `from_level`: the lowest level from which they are carried to stage 2; None: only from stage 2's own and above.
    """

    names: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    type: ContentType = "bytes"
    least: Annotated[int, msgspec.Meta(ge=0, le=MAX_FILES)] = 0
    most: Annotated[int, msgspec.Meta(ge=1, le=MAX_FILES)] = 1
    max_bytes: Annotated[int, msgspec.Meta(ge=1, le=MAX_BYTES)] = 10 << 20
    from_level: Annotated[int, msgspec.Meta(ge=1, le=3)] | None = None


class Contract(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What may cross: each file has to match an item, the first one that does counts."""

    files: Annotated[list[Item], msgspec.Meta(min_length=1, max_length=100)]
    max_total_bytes: Annotated[int, msgspec.Meta(ge=1, le=MAX_BYTES)] = 100 << 20


class Crossing(msgspec.Struct, frozen=True):
    """One file that wants to cross: path below `artifacts/`, lower-case hexadecimal sha256, size in bytes."""

    path: str
    sha256: str
    size: int


class Violation(msgspec.Struct, frozen=True):
    """Which file breaks which rule; `path` is empty where a file is missing."""

    rule: Rule
    path: str
    message: str


def check_contract(contract: Contract, where: str) -> None:
    """Raise InputInvalidError if the contract can't be fulfilled or its names are no paths."""
    for index, item in enumerate(contract.files):
        if item.least > item.most:
            raise InputInvalidError(
                f"{where}.files[{index}]: least {item.least} is more than most {item.most}"
            )
        if not is_plain_path(item.names.replace("*", "x")):
            raise InputInvalidError(
                f"{where}.files[{index}].names: expected a relative path of plain parts, got {item.names!r}"
            )


def is_plain_path(path: str) -> bool:
    """Tell whether `path` is relative, of plain parts: no `.`, `..`, empty part, backslash, colon or control character."""
    return _PATH.match(path) is not None and all(part not in ("", ".", "..") for part in path.split("/"))


def matches(pattern: str, path: str) -> bool:
    """Tell whether `path` is of the form `pattern`: `**` stands for any parts, `*` and `?` stay within one."""
    return _match(pattern.split("/"), path.split("/"))


def _match(patterns: list[str], parts: list[str]) -> bool:
    if not patterns:
        return not parts
    if patterns[0] == "**":
        return any(_match(patterns[1:], parts[skipped:]) for skipped in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], patterns[0]) and _match(patterns[1:], parts[1:])


def violations(contract: Contract, files: Sequence[Crossing]) -> list[Violation]:
    """Return every violation, by file and then by item; an empty list: the contract holds."""
    found: list[Violation] = []
    counts = [0] * len(contract.files)
    for one in files:
        index = _item_of(contract, one.path)
        if not is_plain_path(one.path):
            found.append(Violation("path", one.path, "its path is not plain"))
        elif index is None:
            found.append(Violation("names", one.path, "no item of the contract has such a name"))
        else:
            counts[index] += 1
            limit = contract.files[index].max_bytes
            if one.size > limit:
                found.append(Violation("size", one.path, f"{one.size} bytes, at most {limit} may cross"))
    total = sum(one.size for one in files)
    if total > contract.max_total_bytes:
        found.append(
            Violation("total", "", f"{total} bytes in all, at most {contract.max_total_bytes} may cross")
        )
    for item, count in zip(contract.files, counts, strict=True):
        if not item.least <= count <= item.most:
            found.append(
                Violation(
                    "count", "", f"{count} files named {item.names}, expected {item.least} to {item.most}"
                )
            )
    return found


def not_carried(
    contract: Contract, files: Sequence[Crossing], *, proven: int, needed: int
) -> list[Violation]:
    """Return the files that a stage 2 of level `needed` may not take of a stage 1 that proves level `proven`.

    What a lower level made is no input, unless the contract's item says that it is carried from there.
    """
    found = []
    for one in files:
        index = _item_of(contract, one.path)
        carried = None if index is None else contract.files[index].from_level
        if proven < (needed if carried is None else carried):
            found.append(
                Violation(
                    "level",
                    one.path,
                    f"stage 1 proves level {proven}, and stage 2 is of level {needed}: what a lower level made is no"
                    " input, and the contract carries it"
                    + (" from no lower one" if carried is None else f" from level {carried} only"),
                )
            )
    return found


def _item_of(contract: Contract, path: str) -> int | None:
    return next((index for index, item in enumerate(contract.files) if matches(item.names, path)), None)


def type_violation(contract: Contract, path: str, content: bytes) -> Violation | None:
    """Return what is wrong with the bytes of a file that may cross by its name, by their first bytes or as text."""
    index = _item_of(contract, path)
    expected = "bytes" if index is None else contract.files[index].type
    if _is_of(expected, content):
        return None
    return Violation("type", path, f"its content is not of type {expected}")


def _is_of(expected: ContentType, content: bytes) -> bool:
    match expected:
        case "bytes":
            return True
        case "zip":
            return content.startswith(b"PK\x03\x04")
        case "gzip":
            return content.startswith(b"\x1f\x8b\x08")
        case "text":
            return _is_text(content)
        case "json":
            return _is_json(content)


def _is_text(content: bytes) -> bool:
    try:
        return "\0" not in content.decode()
    except UnicodeDecodeError:
        return False


def _is_json(content: bytes) -> bool:
    try:
        decode(content, what="file")
    except MalformedPayloadError:
        return False
    return True
