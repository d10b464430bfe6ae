"""What the confined process can be asked: each parsing a pure function from bytes to bytes.

Source: docs/reference/operations.md#parsing
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from liftlock.domain.operations.contract import Contract, type_violation
from liftlock.domain.operations.differences import Difference, DifferenceQuestion, difference, members
from liftlock.domain.operations.distributions import Distribution, check_release, read_distribution
from liftlock.domain.operations.source_changes import Change, check_same_program
from liftlock.errors import InputValidationError, MalformedPayloadError
from liftlock.values.packets import unpack_as

_encode = msgspec.msgpack.Encoder().encode


class TypesQuestion(msgspec.Struct, frozen=True):
    """Are these files of the types that the contract says? `files`: path → content."""

    contract: Contract
    files: dict[str, bytes]


class ReleaseQuestion(msgspec.Struct, frozen=True):
    """Are these files distributions of this project and version? `files`: filename → content."""

    name: str
    version: str
    files: dict[str, bytes]


class ProgramQuestion(msgspec.Struct, frozen=True):
    """Do these files mean the same program as before?"""

    changes: list[Change]


class MembersQuestion(msgspec.Struct, frozen=True):
    """What does this distribution hold? `path` ends in its file name."""

    path: str
    content: bytes


def parse_types(given: bytes) -> bytes:
    """Return nothing if every file is of its type."""
    question = _read(given, TypesQuestion)
    for path, content in question.files.items():
        wrong = type_violation(question.contract, path, content)
        if wrong is not None:
            raise InputValidationError(f"{path}: {wrong.message}", rule="contract-type")
    return b""


def parse_release(given: bytes) -> bytes:
    """Return the distributions, all of them of the release; their contents' digests instead of their contents."""
    question = _read(given, ReleaseQuestion)
    found = [read_distribution(name, content) for name, content in sorted(question.files.items())]
    check_release(found, question.name, question.version)
    return _encode(found)


def parse_program(given: bytes) -> bytes:
    """Return nothing if every change leaves the program the same."""
    check_same_program(_read(given, ProgramQuestion).changes)
    return b""


def parse_members(given: bytes) -> bytes:
    """Return the paths of what a distribution holds."""
    question = _read(given, MembersQuestion)
    return _encode(members(question.path, question.content))


def parse_difference(given: bytes) -> bytes:
    """Return how one file that crosses differs from what it is compared with."""
    return _encode(difference(_read(given, DifferenceQuestion)))


PARSINGS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "types": parse_types,
    "release": parse_release,
    "program": parse_program,
}
"""What a privileged worker's process parses."""
SHOWING: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "members": parse_members,
    "difference": parse_difference,
}
"""What a control plane's process parses."""

Question = TypesQuestion | ReleaseQuestion | ProgramQuestion | MembersQuestion | DifferenceQuestion


def question(value: Question) -> bytes:
    """Return the bytes that ask `value`."""
    return _encode(value)


def read_distributions(answer: bytes) -> list[Distribution]:
    """Return the answer of the parsing `release`."""
    found: list[Distribution] = _read(answer, list[Distribution])
    return found


def read_members(answer: bytes) -> list[str]:
    """Return the answer of the parsing `members`."""
    found: list[str] = _read(answer, list[str])
    return found


def read_difference(answer: bytes) -> Difference:
    """Return the answer of the parsing `difference`."""
    found: Difference = _read(answer, Difference)
    return found


def _read(given: bytes, kind: Any) -> Any:
    try:
        return unpack_as(given, kind, what="parsing")
    except MalformedPayloadError as error:
        raise InputValidationError(error.message) from error
