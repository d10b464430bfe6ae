"""What the confined process can be asked: each parsing a pure function from bytes to bytes.

Source: docs/reference/operations.md#parsing
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from liftlock.domain.operations.contract import Contract, type_violation
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


PARSINGS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "types": parse_types,
    "release": parse_release,
    "program": parse_program,
}


def question(value: TypesQuestion | ReleaseQuestion | ProgramQuestion) -> bytes:
    """Return the bytes that ask `value`."""
    return _encode(value)


def read_distributions(answer: bytes) -> list[Distribution]:
    """Return the answer of the parsing `release`."""
    found: list[Distribution] = _read(answer, list[Distribution])
    return found


def _read(given: bytes, kind: Any) -> Any:
    try:
        return unpack_as(given, kind, what="parsing")
    except MalformedPayloadError as error:
        raise InputValidationError(error.message) from error
