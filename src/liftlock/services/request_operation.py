"""Ask for an operation: who may, with what input, at which revision; then stage 1 is started as an ordinary task.

The branch is resolved here, once, from liftlock's own mirror. Where it moves later changes nothing of what was asked.

Source: docs/reference/operations.md#request
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from liftlock.domain.operations.definition import Operation, pull_of
from liftlock.domain.operations.stage_one import Asked
from liftlock.domain.pushes.project import Project
from liftlock.errors import ConflictError, InputInvalidError, InputValidationError, NotFoundError
from liftlock.ports.entropy import Entropy
from liftlock.ports.envelope import Event
from liftlock.ports.operation_store import NewOperation, OperationRecord, OperationStore
from liftlock.ports.push_store import PushQuery, PushStore
from liftlock.ports.repository import Repository
from liftlock.services.authorize import Caller
from liftlock.services.configured_operations import ConfiguredOperations
from liftlock.services.fire_hook import FireHook, OperationFire
from liftlock.services.observe_push import ObservePush
from liftlock.services.stage_two import StageTwo
from liftlock.values.json import canonical

MAX_KEY: Final = 200
MAX_INPUT_BYTES: Final = 64 << 10
MAX_ORIGIN_BYTES: Final = 16 << 10
TOPIC: Final = "operation"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for. `revision`: what the requester saw at `ref`; without it, where the branch is now.

    `key`: the requester's own mark, by which a repeated request finds the first one. `origin`: JSON about what caused
    the request, for whoever has to answer there; no decision is made by it.
    """

    operation: str
    ref: str
    input: Any = {}
    revision: str | None = None
    key: str | None = None
    origin: Mapping[str, Any] = {}


class RequestOperation:
    """Starts operations."""

    def __init__(
        self,
        configured: ConfiguredOperations,
        store: OperationStore,
        fire: FireHook,
        stage_two: StageTwo,
        pushes: PushStore,
        observe: ObservePush,
        repository: Repository,
        entropy: Entropy,
    ) -> None:
        self._configured = configured
        self._store = store
        self._fire = fire
        self._stage_two = stage_two
        self._pushes = pushes
        self._observe = observe
        self._repository = repository
        self._entropy = entropy

    async def __call__(self, caller: Caller, wanted: Wanted, now: datetime) -> OperationRecord:
        """Return the operation, started now, or before by the same caller under the same key.

        Raises:
            RefusedError: the caller lacks `liftlock:request:<operation>`, or the hook's role lacks what stage 1 needs.
            NotFoundError: there is no such operation, project or branch.
            InputValidationError: the input does not fit the operation's schema.
            InputInvalidError: the branch is none that this operation takes, or its revision is not recorded.
            ConflictError: the branch is not where the requester saw it; the key was used for something else.
        """
        caller.require(f"liftlock:request:{wanted.operation}")
        operation = self._configured.operation(wanted.operation)
        _check(wanted)
        earlier = await self._earlier(caller, wanted)
        if earlier is not None:
            return earlier
        project, revision = await self._resolve(operation, wanted)
        record = self._record(operation, wanted, project, revision, caller, now)
        await self._start(record, caller, now)
        await self._stage_two.ensure(record, now)
        return record

    async def head(self, operation: Operation, ref: str) -> str | None:
        """Return where the branch was when liftlock last looked, for people to see; None: it knows of none."""
        return (await self._pushes.heads(operation.project)).get(ref)

    async def _start(self, record: OperationRecord, caller: Caller, now: datetime) -> None:
        hook = await self._configured.stored_hook(record.operation, now)
        asked = asked_of(record)
        event = Event(TOPIC, record.operation_id, {"operation": record.operation, "state": record.state})
        await self._fire.by_operation(
            hook,
            caller,
            asked.payload,
            now,
            OperationFire(record.stage1_task_id, (NewOperation(record, _audit(record, caller), event),)),
        )

    async def _earlier(self, caller: Caller, wanted: Wanted) -> OperationRecord | None:
        if wanted.key is None:
            return None
        found = await self._store.by_key(caller.client_id, wanted.key)
        if found is None:
            return None
        same = (found.operation, found.ref) == (wanted.operation, wanted.ref)
        if not same or canonical(found.input) != canonical(wanted.input):
            raise ConflictError(f"key {wanted.key!r}: it was used for another request, {found.operation_id}")
        return found

    async def _resolve(self, operation: Operation, wanted: Wanted) -> tuple[Project, str]:
        """Return the project and the revision, which a recorded push brought."""
        if not operation.takes_ref(wanted.ref):
            raise InputInvalidError(
                f"ref: operation {operation.name} takes {', '.join(operation.refs)}, got {wanted.ref[:80]!r}"
                f"{'' if pull_of(wanted.ref) is None else '; pull requests from forks only with pullRequests: true'}"
            )
        project = await self._pushes.project(operation.project)
        if project is None:
            raise NotFoundError(
                f"operation {operation.name} is of project {operation.project}, which does not exist"
            )
        if project.vcs != "git":
            raise InputInvalidError(
                f"operation {operation.name}: project {project.name} is no git repository"
            )
        number = pull_of(wanted.ref)
        if number is not None:
            return project, await self._pull(project, number, wanted)
        await self._observe(project, ())
        head = (await self._pushes.heads(project.name)).get(wanted.ref)
        revision = wanted.revision or head
        if revision is None:
            raise NotFoundError(f"ref: {project.name} has no tracked branch {wanted.ref[:80]!r}")
        if head is not None and revision != head:
            raise ConflictError(
                f"revision: {wanted.ref} is at {head}, not at {revision[:64]}; look again and repeat"
            )
        if not await self._is_recorded(project, revision):
            raise InputInvalidError(
                f"ref: no recorded push brought {revision[:64]} to {project.name}; push once after registering it,"
                " or register it with decideExisting"
            )
        return project, revision

    async def _pull(self, project: Project, number: int, wanted: Wanted) -> str:
        """Return the head of a pull request from a fork, which is in the mirror now; it is no push."""
        head = await self._repository.fetch_pull(project, number)
        if wanted.revision not in (None, head):
            raise ConflictError(f"revision: {wanted.ref} is at {head}, not at {str(wanted.revision)[:64]}")
        return head

    async def _is_recorded(self, project: Project, revision: str) -> bool:
        found = await self._pushes.pushes(project.name, PushQuery(revision=revision, limit=1))
        return bool(found) or await self._repository.kept(project, revision)

    def _record(
        self,
        operation: Operation,
        wanted: Wanted,
        project: Project,
        revision: str,
        caller: Caller,
        now: datetime,
    ) -> OperationRecord:
        return OperationRecord(
            operation_id=self._entropy.slugid(),
            operation=operation.name,
            operation_version=operation.version,
            hook_version=self._configured.hook(operation.name).definition.version,
            requester=caller.client_id,
            request_key=wanted.key,
            project=project.name,
            identity=project.identity,
            ref=wanted.ref,
            revision=revision,
            input=wanted.input,
            stage1_task_id=self._entropy.slugid(),
            stage2_task_id=self._entropy.slugid(),
            created=now,
            expires=now + timedelta(hours=operation.approvals.valid_hours),
            origin=wanted.origin,
            changed=now,
        )


def asked_of(record: OperationRecord) -> Asked:
    """Return what stage 1 of the operation is told."""
    return Asked(
        record.operation_id,
        record.operation,
        record.project,
        record.identity,
        record.ref,
        record.revision,
        record.input,
    )


def _check(wanted: Wanted) -> None:
    if wanted.key is not None and not 1 <= len(wanted.key) <= MAX_KEY:
        raise InputValidationError(f"key: expected 1 to {MAX_KEY} characters, got {len(wanted.key)}")
    for what, value, most in (
        ("input", wanted.input, MAX_INPUT_BYTES),
        ("origin", wanted.origin, MAX_ORIGIN_BYTES),
    ):
        if len(canonical(value)) > most:
            raise InputValidationError(f"{what}: expected at most {most} bytes of JSON")


def _audit(record: OperationRecord, caller: Caller) -> Any:
    return caller.record(
        "operations.request",
        f"operation/{record.operation_id}",
        "allowed",
        operation=record.operation,
        operationVersion=record.operation_version,
        project=record.project,
        ref=record.ref,
        revision=record.revision,
    )
