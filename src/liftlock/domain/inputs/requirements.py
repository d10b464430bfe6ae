"""A hash-locked requirements file, as pip-compile and `uv pip compile --generate-hashes` write it; untrusted text.

Source: docs/reference/worker.md#pip
"""

from __future__ import annotations

import re

import msgspec

from liftlock.errors import InputValidationError

MAX_LOCK_BYTES = 8 << 20
MAX_REQUIREMENTS = 5000
_PIN = re.compile(
    r"([A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?)(?:\[[A-Za-z0-9._, -]{0,200}\])?==([A-Za-z0-9][A-Za-z0-9.!+_-]{0,127})"
)
_HASH = re.compile(r"--hash=(sha256):([0-9a-f]{64})", re.ASCII)
_SEPARATORS = re.compile(r"[-_.]+")


class Requirement(msgspec.Struct, frozen=True):
    """One pinned package. `name` is normalised; `sha256` are the digests of which its wheel must have one."""

    name: str
    version: str
    sha256: tuple[str, ...]
    line: int


def normal_name(name: str) -> str:
    """Return a package's name in the one form that all spellings share: lower case, runs of `-_.` as `-`."""
    return _SEPARATORS.sub("-", name).lower()


def parse_lock(text: bytes, *, what: str) -> tuple[Requirement, ...]:
    """Return the requirements of a lock file, in its order, each package once.

    Raises:
        InputValidationError: a line is no `name==version --hash=sha256:…`: options, addresses, markers and unpinned or
            unhashed requirements are refused, with the line's number.
    """
    if len(text) > MAX_LOCK_BYTES:
        raise InputValidationError(f"{what}: {len(text)} bytes; a lock file has at most {MAX_LOCK_BYTES}")
    try:
        lines = text.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputValidationError(
            f"{what}: expected UTF-8 text ({error.reason} at byte {error.start})"
        ) from error
    found: dict[str, Requirement] = {}
    for number, line in _logical_lines(lines):
        one = _requirement(line, number, what)
        if one.name in found:
            raise InputValidationError(
                f"{what}:{number}: {one.name} is pinned on line {found[one.name].line} already"
            )
        found[one.name] = one
        if len(found) > MAX_REQUIREMENTS:
            raise InputValidationError(f"{what}:{number}: more than {MAX_REQUIREMENTS} requirements")
    return tuple(found.values())


def _logical_lines(lines: list[str]) -> list[tuple[int, str]]:
    """Return (number of its first line, text) of every requirement, with continuations joined and comments dropped."""
    joined: list[tuple[int, str]] = []
    parts: list[str] = []
    start = 0
    for number, raw in enumerate(lines, 1):
        line = "" if raw.lstrip().startswith("#") else re.split(r"\s#", raw, maxsplit=1)[0].rstrip()
        if not parts:
            start = number
        more = line.endswith("\\")
        if stripped := line.removesuffix("\\").strip():
            parts.append(stripped)
        if parts and not more and not (not stripped and raw.lstrip().startswith("#")):
            joined.append((start, " ".join(parts)))
            parts = []
    if parts:
        joined.append((start, " ".join(parts)))
    return joined


def _requirement(line: str, number: int, what: str) -> Requirement:
    head, *options = line.split()
    pin = _PIN.fullmatch(head)
    hashes = [_HASH.fullmatch(option) for option in options]
    if pin is None or not hashes or not all(hashes):
        raise InputValidationError(
            f"{what}:{number}: expected `name==version --hash=sha256:…`, found {line[:100]!r}", line=number
        )
    digests = tuple(sorted({match[2] for match in hashes if match}))
    return Requirement(normal_name(pin[1]), pin[2], digests, number)
