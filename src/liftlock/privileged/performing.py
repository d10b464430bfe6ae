"""What a privileged operation is: a class with settings that are checked at the start, and one thing that it does.

Source: docs/how-to/write-a-privileged-operation.md
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import msgspec

from liftlock.domain.approvals.request import FrozenRequest
from liftlock.domain.operations.definition import Operation
from liftlock.errors import LiftlockError
from liftlock.ports.confined_parser import ConfinedParser, Parsing
from liftlock.ports.package_index import PackageIndex
from liftlock.ports.target_repository import TargetRepository
from liftlock.values.secret import Secret


class PerformRefusedError(LiftlockError):
    """What crossed, or the place that it is for, is not as it has to be: `rule` is permanent; nothing was done."""

    code = "PerformRefused"


class WrongSettingsError(LiftlockError):
    """An operation's `stage2.settings` are not what its kind takes; the message names the field."""

    code = "WrongSettings"


@dataclass(frozen=True, slots=True)
class Tools:
    """What privileged operations may use of the world."""

    parser: ConfinedParser
    index: PackageIndex
    repository: TargetRepository


@dataclass(frozen=True, slots=True)
class Work:
    """One admitted request: `files` by path, each with the digest that was approved; `secret` opens one by its name within the operation."""

    request: FrozenRequest
    operation: Operation
    files: Mapping[str, bytes]
    secret: Callable[[str], Secret]
    note: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Performed:
    """What was done, in words and as JSON, and what it made: artifacts of stage 2 by name; all without secrets."""

    summary: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    made: Mapping[str, bytes] = field(default_factory=dict)


class PrivilegedOperation(Protocol):
    """One kind. `parsings`: what its content is parsed by, in the confined process."""

    @property
    def kind(self) -> str:
        """Its name in `stage2.kind`."""
        ...

    @property
    def parsings(self) -> Mapping[str, Parsing]:
        """Parsings of its own, named `<kind>.<parsing>`; those of liftlock are there anyway."""
        ...

    def check(self, operation: Operation) -> None:
        """Return if the operation's settings, secrets and contract are such that this can be performed; WrongSettingsError."""
        ...

    async def perform(self, work: Work, tools: Tools) -> Performed:
        """Do it. May be called again for the same request, if the process died: then it finishes what was begun.

        Raises:
            PerformRefusedError, InputValidationError: what crossed is not in order; nothing was done.
            LiftlockError: it could not be done; the message says what was.
        """
        ...


T = TypeVar("T")


def settings_as(operation: Operation, kind: type[T]) -> T:
    """Return `stage2.settings` as `kind`; WrongSettingsError names the field."""
    given: Any = operation.stage2.settings
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise WrongSettingsError(f"operations.{operation.name}.stage2.settings: {error}") from error


def expect_secret(operation: Operation, name: str) -> None:
    """Return if the operation has this secret; else WrongSettingsError."""
    if name not in operation.stage2.secrets:
        raise WrongSettingsError(f"operations.{operation.name}.stage2.secrets: expected `{name}: NAME`")


def expect_required(operation: Operation, field_name: str, what: str) -> None:
    """Return if the input has to hold this field, which says `what` is approved; else WrongSettingsError."""
    schema = operation.input_schema
    required = schema.get("required", []) if isinstance(schema, dict) else []
    if field_name not in required:
        raise WrongSettingsError(
            f"operations.{operation.name}.input: expected a required field {field_name!r}: {what} that is approved"
        )
