"""Operations by configuration: parsed and checked whole, with the place of whatever is wrong.

An operation is never defined by the repository that it acts on: this is an operator's file, and both the control plane
and the privileged worker read their own copy of it.

Source: docs/reference/operations.md#definition
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
import yaml

from liftlock.domain.approvals.people import Approver, parse_approvers
from liftlock.domain.hooks.trigger_schema import DEFAULT_TRIGGER_SCHEMA
from liftlock.domain.operations.contract import Contract, check_contract
from liftlock.domain.provenance.levels import level_of
from liftlock.errors import InputInvalidError, InputValidationError
from liftlock.values.json import UNDECODABLE, digest

MAX_FILE_BYTES: Final = 1 << 20
MAX_OPERATIONS: Final = 200
PRIVILEGED_QUEUE: Final = "local/privileged"
TAKES_PULLS: Final = ("commit-files",)
"""Kinds whose effect on a pull request from a fork is harmless: a patch that is shown, and nothing else."""
_PULL: Final = re.compile(r"refs/pull/([1-9][0-9]{0,9})/head\Z", re.ASCII)
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,39}\Z", re.ASCII)

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
_Queue = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,38}/[A-Za-z0-9_-]{1,38}$")]
_Kind = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,39}$")]


class StageOne(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The task that may run anything: `command` is argv lists and holds no template language, so nothing is spliced.

    `source` is where the checkout lies, and `more` further fields of the payload (env, inputs, resources, …).
    `level`: the least level that its chain of trust has to prove.
    """

    command: Annotated[list[list[str]], msgspec.Meta(min_length=1, max_length=100)]
    queue: _Queue = "local/unprivileged"
    scheduler_id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,38}$")] = "liftlock-operations"
    level: Annotated[int, msgspec.Meta(ge=1, le=3)] = 1
    source: Annotated[str, msgspec.Meta(pattern=r"^/build/[A-Za-z0-9_-][A-Za-z0-9._/-]{0,99}$")] = (
        "/build/src"
    )
    max_run_time: Annotated[int, msgspec.Meta(ge=1, le=86400)] = 1800
    more: dict[str, Any] = {}


class Privileged(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What stage 2 does: one of the privileged worker's closed set, its settings, and the secrets that it may open.

    `secrets`: name within the operation → name of the sealed secret. `level`: of what it acts on; None: of its task.
    """

    kind: _Kind
    settings: dict[str, Any] = {}
    secrets: dict[_Kind, _Kind] = {}
    queue: _Queue = PRIVILEGED_QUEUE
    level: Annotated[int, msgspec.Meta(ge=1, le=3)] | None = None


class Approvals(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """How many distinct people have to approve, for how long that is possible, and whether a mere session counts."""

    need: Annotated[int, msgspec.Meta(ge=0, le=20)] = 1
    valid_hours: Annotated[int, msgspec.Meta(ge=1, le=96)] = 24
    accept_sessions: bool = False
    void_on_move: bool = True
    """Whether a branch that moves on voids a request that waits."""


class _Given(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    description: _Text
    project: Annotated[str, msgspec.Meta(pattern=r"^[a-zA-Z0-9_-]{1,50}$")]
    stage1: StageOne
    contract: Contract
    stage2: Privileged
    refs: Annotated[tuple[_Text, ...], msgspec.Meta(min_length=1, max_length=100)] = ("*",)
    input: Any = msgspec.field(default_factory=lambda: dict(DEFAULT_TRIGGER_SCHEMA))
    approvals: Approvals = Approvals()
    pull_requests: bool = False


class Operation(msgspec.Struct, frozen=True):
    """One checked operation. `document` is its configuration with nothing left out, `version` the sha256 of that."""

    name: str
    description: str
    project: str
    refs: tuple[str, ...]
    input_schema: Any
    stage1: StageOne
    contract: Contract
    stage2: Privileged
    approvals: Approvals
    document: dict[str, Any]
    version: str
    pull_requests: bool = False
    """Whether it takes heads of pull requests from forks, which are in no branch of the project's."""

    @property
    def level(self) -> int:
        """The level of stage 2, which reads files: what is of a lower one crosses only if the contract carries it."""
        of_task = level_of({"schedulerId": self.stage1.scheduler_id})
        return of_task if self.stage2.level is None else max(self.stage2.level, of_task)

    def takes_ref(self, ref: str) -> bool:
        """Tell whether a request may name `ref`: a branch, or the head of a pull request by its full name."""
        if ref.startswith("refs/"):
            return self.pull_requests and pull_of(ref) is not None
        return any(_matches(pattern, ref) for pattern in self.refs)


def pull_ref(number: int) -> str:
    """Return the full name of a pull request's head; no branch is called so, for branches have short names here."""
    return f"refs/pull/{number}/head"


def pull_of(ref: str) -> int | None:
    """Return the number of the pull request whose head `ref` is; None: it is a branch."""
    match = _PULL.match(ref)
    return None if match is None else int(match[1])


class OperationSet(msgspec.Struct, frozen=True):
    """All that one file says: operations and approvers by name."""

    operations: dict[str, Operation] = {}
    approvers: dict[str, Approver] = {}

    @property
    def privileged_queues(self) -> frozenset[str]:
        """The queues on which only liftlock itself creates tasks."""
        return frozenset({PRIVILEGED_QUEUE, *(each.stage2.queue for each in self.operations.values())})


def parse_operations(text: str) -> OperationSet:
    """Return what the file's `text` (YAML) says.

    Raises:
        InputValidationError: what is missing, unknown or of the wrong form, with its path.
        InputInvalidError: the parts make no sense together.
    """
    document = _loaded(text)
    unknown = sorted(set(document) - {"operations", "approvers"}, key=str)
    if unknown:
        raise InputValidationError(
            f"operations file: expected only operations and approvers at the top, found {unknown[0]!r:.80}"
        )
    given = _mapping(document.get("operations", {}), "operations")
    if len(given) > MAX_OPERATIONS:
        raise InputInvalidError(f"operations: expected at most {MAX_OPERATIONS}, found {len(given)}")
    return OperationSet(
        {name: define_operation(name, each) for name, each in given.items()},
        parse_approvers(_mapping(document.get("approvers", {}), "approvers")),
    )


def define_operation(name: object, given: object) -> Operation:
    """Return the checked operation; errors as `parse_operations`."""
    if not isinstance(name, str) or _NAME.match(name) is None:
        raise InputValidationError(
            f"operations: expected names of a-z, 0-9 and -, at most 40 characters, found {name!r:.80}"
        )
    where = f"operations.{name}"
    try:
        parsed = msgspec.convert(_mapping(given, where), _Given)
    except msgspec.ValidationError as error:
        raise InputValidationError(f"{where}: {error}") from error
    check_contract(parsed.contract, f"{where}.contract")
    if parsed.pull_requests and parsed.stage2.kind not in TAKES_PULLS:
        raise InputInvalidError(
            f"{where}.pullRequests: only {', '.join(TAKES_PULLS)} takes what nobody has merged, not {parsed.stage2.kind}"
        )
    _refuse_templates(msgspec.to_builtins(parsed.stage1), f"{where}.stage1")
    document = msgspec.to_builtins(_Complete.of(name, parsed))
    return Operation(
        name=name,
        description=parsed.description,
        project=parsed.project,
        refs=parsed.refs,
        input_schema=parsed.input,
        stage1=parsed.stage1,
        contract=parsed.contract,
        stage2=parsed.stage2,
        approvals=parsed.approvals,
        document=document,
        version=digest(document),
        pull_requests=parsed.pull_requests,
    )


class _Complete(msgspec.Struct, frozen=True, rename="camel"):
    """What the version is the digest of."""

    name: str
    description: str
    project: str
    refs: tuple[str, ...]
    input: Any
    stage1: StageOne
    contract: Contract
    stage2: Privileged
    approvals: Approvals
    pull_requests: bool

    @classmethod
    def of(cls, name: str, given: _Given) -> _Complete:
        return cls(
            name,
            given.description,
            given.project,
            given.refs,
            given.input,
            given.stage1,
            given.contract,
            given.stage2,
            given.approvals,
            given.pull_requests,
        )


def _loaded(text: str) -> dict[str, Any]:
    if len(text.encode("utf-8", "replace")) > MAX_FILE_BYTES:
        raise InputInvalidError(f"operations file: expected at most {MAX_FILE_BYTES} bytes")
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, *UNDECODABLE) as error:
        raise InputValidationError(f"operations file: expected YAML: {error}") from error
    return _mapping({} if found is None else found, "operations file")


def _mapping(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InputValidationError(f"{what}: expected a mapping, found {type(value).__name__}")
    return dict(value)


def _refuse_templates(value: object, path: str) -> None:
    """Refuse template language in stage 1: what a requester says must reach it as a file, never as a part of a command."""
    if isinstance(value, str) and "${" in value:
        raise InputInvalidError(
            f"{path}: ${{…}} is not rendered here; stage 1 reads /inputs/operation.json instead, got {value[:80]!r}"
        )
    if isinstance(value, Mapping):
        for key, each in value.items():
            if isinstance(key, str) and ("${" in key or key.startswith("$")):
                raise InputInvalidError(
                    f"{path}: {key[:80]!r} is template language, which stage 1 may not have"
                )
            _refuse_templates(each, f"{path}.{key}")
    if isinstance(value, list | tuple):
        for index, each in enumerate(value):
            _refuse_templates(each, f"{path}[{index}]")


def _matches(pattern: str, ref: str) -> bool:
    if pattern.endswith("*"):
        return ref.startswith(pattern[:-1])
    return ref == pattern
