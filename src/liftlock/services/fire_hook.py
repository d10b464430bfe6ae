"""Fire a hook: the only way in which one fires, whoever or whatever asks for it.

Authorise → check the payload by the trigger schema → check what liftlock manages → render → create the task with the
hook's role and nothing else → record. A fire that fails is recorded too.

Source: docs/reference/hooks.md#firing
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import msgspec

from liftlock.domain.hooks.definition import CompiledHook, compile_hook, from_document
from liftlock.domain.hooks.firing import Trigger, render_task, wished_task_id
from liftlock.domain.hooks.schedule import next_fire
from liftlock.errors import (
    AuthenticationFailedError,
    LiftlockError,
    NotFoundError,
    RefusedError,
    ReplayedRequestError,
    StaleSnapshotError,
    StorageError,
)
from liftlock.ports.entropy import Entropy
from liftlock.ports.event_log import EventFire
from liftlock.ports.hook_store import FireRecord, FireResult, HookRecord, HookStore, ScheduleAdvance
from liftlock.ports.sealing import Sealer
from liftlock.ports.task_store import TaskStore
from liftlock.services.authorize import Authorizer, Caller
from liftlock.services.create_task import CreateTask, TaskStatus
from liftlock.services.hook_failure_mail import HookFailureMail
from liftlock.values import ids
from liftlock.values.json import canonical, digest

BY_TOKEN: Final = "hooks/token"  # noqa: S105 -- the name of an actor, no secret
BY_SCHEDULE: Final = "hooks/schedule"
BY_EVENT: Final = "hooks/event"
MAX_LATENESS: Final = timedelta(minutes=10)
"""A scheduled task is created as of its scheduled time, unless that is longer ago than a queue would accept."""
_CACHED_BYTES: Final = 4 << 20
_MAX_ERROR: Final = 4_000


Also = Callable[[str], tuple[Any, ...]]
"""Returns further records for an envelope, given the id of the task that the fire creates."""


def nothing_else(_task_id: str) -> tuple[Any, ...]:
    """Return no further records."""
    return ()


class GuardRefusal(Protocol):
    """Why a managed hook does not fire: `rule` is permanent, `message` is for people."""

    @property
    def rule(self) -> str:
        """A permanent name of what does not hold."""
        ...

    @property
    def message(self) -> str:
        """What does not hold, and why that matters."""
        ...


class ActionGuard(Protocol):
    """Compares what fires a managed hook with what liftlock itself recorded."""

    async def check(self, hook: HookRecord, payload: Any, caller: Caller) -> GuardRefusal | None:
        """Return why this payload (None: there is none) must not fire the managed `hook`, or None if it may."""
        ...


@dataclass(frozen=True, slots=True)
class Fired:
    """What came of a fire. `status` is the task's, None if the template rendered to nothing."""

    task_id: str
    status: TaskStatus | None


@dataclass(frozen=True, slots=True)
class OperationFire:
    """A fire that is stage 1 of an operation: its task's id was chosen, and `records` commit with it."""

    task_id: str
    records: tuple[Any, ...]


class CompiledHooks:
    """The hooks that fired last, compiled: by version, as many as fit."""

    def __init__(self) -> None:
        self._found: OrderedDict[str, tuple[CompiledHook, int]] = OrderedDict()
        self._bytes = 0

    def of(self, record: HookRecord) -> CompiledHook:
        """Return the hook compiled; raises as `compile_hook` if it was stored by rules that have become stricter."""
        known = self._found.get(record.version)
        if known is not None:
            self._found.move_to_end(record.version)
            return known[0]
        compiled = compile_hook(from_document(record.document))
        size = len(canonical(record.document))
        self._found[record.version] = (compiled, size)
        self._bytes += size
        while self._bytes > _CACHED_BYTES and len(self._found) > 1:
            self._bytes -= self._found.popitem(last=False)[1][1]
        return compiled


class FireHook:
    """Fires hooks."""

    def __init__(
        self,
        hooks: HookStore,
        tasks: TaskStore,
        create_task: CreateTask,
        authorizer: Authorizer,
        sealer: Sealer,
        entropy: Entropy,
        guard: ActionGuard,
        failure_mail: HookFailureMail | None = None,
    ) -> None:
        """Make the service; `failure_mail` None: nobody is told by e-mail of what fails."""
        self._hooks = hooks
        self._tasks = tasks
        self._create_task = create_task
        self._authorizer = authorizer
        self._sealer = sealer
        self._entropy = entropy
        self._guard = guard
        self._failure_mail = failure_mail
        self._compiled = CompiledHooks()

    async def by_trigger(
        self,
        caller: Caller,
        hook_group_id: str,
        hook_id: str,
        payload: Any,
        now: datetime,
        *,
        also: Also = nothing_else,
    ) -> Fired:
        """Fire the hook for a caller who may; what `also` returns for the task's id commits with a fire that succeeds.

        Raises:
            RefusedError: the caller lacks `hooks:trigger-hook:<hook>`; the hook's role lacks what its task needs; what
                the payload of a managed hook says is not what is recorded.
            NotFoundError: there is no such hook.
            InputValidationError: the payload does not fit the trigger schema.
            TemplateRefusedError, InputInvalidError, ConflictError: of the rendered task.
        """
        name = f"{ids.hook_group_id(hook_group_id)}/{ids.hook_id(hook_id)}"
        caller.require(f"hooks:trigger-hook:{name}")
        record = await self._hooks.hook(hook_group_id, hook_id)
        if record is None:
            raise NotFoundError(f"hook {name} does not exist")
        trigger = Trigger("triggerHook", now, payload, caller.client_id)
        return await self._fire(record, trigger, caller, caller.client_id, now, also=also)

    async def by_token(
        self, caller: Caller, hook_group_id: str, hook_id: str, token: str, payload: Any, now: datetime
    ) -> Fired:
        """Fire the hook for whoever knows its trigger token; errors as `by_trigger`, but:

        Raises:
            AuthenticationFailedError: the token is not the hook's, or there is no such hook: nobody learns which.
        """
        record = await self._hooks.hook(ids.hook_group_id(hook_group_id), ids.hook_id(hook_id))
        known = bytes(33) if record is None else self.token_of(record)
        if not hmac.compare_digest(known, token.encode()) or record is None:
            raise AuthenticationFailedError("the token is not one of this hook")
        actor = BY_TOKEN if caller.anonymous else caller.client_id
        return await self._fire(record, Trigger("triggerHookWithToken", now, payload), caller, actor, now)

    async def by_schedule(self, record: HookRecord, now: datetime) -> Fired:
        """Fire the hook, which is due, and advance its schedule in the same transaction.

        Raises:
            StaleSnapshotError: it has been fired for this time already, or was changed.
            Others as `by_trigger`: the fire failed, was recorded, and the schedule advanced all the same.
        """
        due = record.next_fire
        if due is None or due > now:
            raise StaleSnapshotError(f"hook {record.name} is not due")
        after = next_fire(self._schedule_of(record), now)
        advance = ScheduleAdvance(record.hook_group_id, record.hook_id, due, after, self._entropy.slugid())
        caller = await self._authorizer.internal(BY_SCHEDULE, [], now)
        trigger = Trigger("schedule", due if now - due <= MAX_LATENESS else now)
        return await self._fire(
            record, trigger, caller, BY_SCHEDULE, now, task_id=record.next_task_id, extra=(advance,)
        )

    async def by_event(self, record: HookRecord, payload: Any, event: EventFire, now: datetime) -> Fired:
        """Fire the hook for an event that one of its bindings matches, and note that in the same transaction.

        Raises:
            StaleSnapshotError: the event has fired it already, or roles changed meanwhile.
            Others as `by_trigger`: the fire failed and was recorded.
        """
        caller = await self._authorizer.internal(BY_EVENT, [], now)
        task_id = self._entropy.slugid()
        noted = msgspec.structs.replace(event, task_id=task_id)
        trigger = Trigger("pulseMessage", now, payload)
        return await self._fire(record, trigger, caller, BY_EVENT, now, task_id=task_id, extra=(noted,))

    async def note_refused_event(self, record: HookRecord, why_not: str, now: datetime) -> None:
        """Record that an event did not fire the hook, and why."""
        caller = await self._authorizer.internal(BY_EVENT, [], now)
        fire = _fire_record(record, Trigger("pulseMessage", now), BY_EVENT, now, self._entropy.slugid())
        kept = msgspec.structs.replace(fire, result="error", error=why_not[:_MAX_ERROR])
        await self._hooks.commit(caller.envelope(now, records=(kept,)))

    async def by_operation(
        self, record: HookRecord, caller: Caller, payload: Any, now: datetime, operation: OperationFire
    ) -> Fired:
        """Fire the hook of an operation for its service, which has authorised `caller` and resolved the payload.

        No other way leads to such a hook: the guard refuses it. Raises as `by_trigger`.
        """
        trigger = Trigger("triggerHook", now, payload, caller.client_id)
        return await self._fire(record, trigger, caller, caller.client_id, now, operation=operation)

    @staticmethod
    def _schedule_of(record: HookRecord) -> Sequence[str]:
        return from_document(record.document).schedule

    def token_of(self, record: HookRecord) -> bytes:
        """Return the hook's trigger token."""
        return self._sealer.unseal(record.sealed_token, identity=token_identity(record.name))

    async def _fire(
        self,
        record: HookRecord,
        trigger: Trigger,
        caller: Caller,
        actor: str,
        now: datetime,
        *,
        task_id: str | None = None,
        extra: tuple[Any, ...] = (),
        operation: OperationFire | None = None,
        also: Also = nothing_else,
    ) -> Fired:
        """Fire the hook; whoever calls has authorised `caller` to do so. `extra` records commit first."""
        if operation is not None:
            task_id = operation.task_id
        task_id = task_id or await self.choose_task_id(trigger.payload)

        def records(result: FireResult, error: str = "") -> tuple[Any, ...]:
            fire = _fire_record(record, trigger, actor, now, task_id)
            kept = msgspec.structs.replace(
                fire, result=result, error=error[:_MAX_ERROR], authority=caller.authority()
            )
            started = operation.records if operation is not None and result == "success" else ()
            more = self._mail_about(record, kept) if result == "error" else also(task_id)
            return (*extra, *started, kept, *more)

        try:
            definition = await self.prepare(
                record, trigger, caller, task_id, of_operation=operation is not None
            )
            if definition is None:
                await self._hooks.commit(caller.envelope(now, records=records("no-fire")))
                return Fired(task_id, None)
            role = await self.role_of(record, caller, now)
            try:
                status = await self._create_task(role, task_id, definition, now, records=records("success"))
            except RefusedError as error:
                raise RefusedError(
                    f"Role hook-id:{record.name} lacks what the hook's task needs: {error.message}",
                    **error.details,
                ) from error
        except (StaleSnapshotError, ReplayedRequestError, StorageError):
            raise  # nothing was decided: the caller repeats it, or the store is gone
        except LiftlockError as error:
            told = error.details.pop("without_values", error.message)
            await self._hooks.commit(caller.envelope(now, records=records("error", told)))
            raise
        return Fired(task_id, status)

    def _mail_about(self, record: HookRecord, failed: FireRecord) -> tuple[Any, ...]:
        return () if self._failure_mail is None else self._failure_mail.about(record, failed)

    async def prepare(
        self,
        record: HookRecord,
        trigger: Trigger,
        caller: Caller,
        task_id: str,
        *,
        of_operation: bool = False,
    ) -> dict[str, Any] | None:
        """Return the task's definition, or None for no task, after every check of the payload; creates nothing.

        `of_operation`: liftlock itself made the payload, of a request that it checked, so that no guard is asked.
        """
        hook = self._compiled.of(record)
        payload = None
        if trigger.payload is not msgspec.UNSET:
            payload = trigger.payload
            hook.trigger_schema.validate(payload)
        if record.managed and not of_operation:
            refusal = await self._guard.check(record, payload, caller)
            if refusal is not None:
                raise RefusedError(f"hook {record.name} does not fire: {refusal.message}", rule=refusal.rule)
        return render_task(hook, trigger, task_id)

    async def choose_task_id(self, payload: Any) -> str:
        """Return the id for a new task: the one that the payload wishes for if no task has it, else a random one."""
        wished = wished_task_id(payload)
        if wished is not None and await self._tasks.task(wished) is None:
            return wished
        return self._entropy.slugid()

    async def role_of(self, record: HookRecord, caller: Caller, now: datetime) -> Caller:
        """Return the hook's role as a caller that commits under the nonce of the request which fires it.

        Raises:
            StaleSnapshotError: roles changed since `caller` was authorised.
        """
        role = await self._authorizer.internal(f"hook/{record.name}", [f"assume:hook-id:{record.name}"], now)
        if role.access_version != caller.access_version:
            raise StaleSnapshotError("roles or clients changed while the request was decided")
        return msgspec.structs.replace(role, nonce=caller.nonce)


def token_identity(name: str) -> str:
    """Return the row's identity for which the trigger token of the hook `name` is sealed."""
    return f"hook/{name}"


def _fire_record(record: HookRecord, trigger: Trigger, actor: str, now: datetime, task_id: str) -> FireRecord:
    return FireRecord(
        hook_group_id=record.hook_group_id,
        hook_id=record.hook_id,
        at=now,
        actor=actor,
        fired_by=trigger.fired_by,
        payload_digest=None if trigger.payload is msgspec.UNSET else _payload_digest(trigger.payload),
        hook_version=record.version,
        task_id=task_id,
        result="success",
    )


def _payload_digest(payload: Any) -> str | None:
    """Return the digest of the canonical payload; None for one nested too deeply to have any, which fits no schema."""
    try:
        return digest(payload)
    except RecursionError:
        return None
