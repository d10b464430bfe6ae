"""In-tree actions as a page offers them: what a push offers, what one would do, and doing it with one's own scopes.

actions.json is untrusted. It decides what is shown; what may happen is decided where a hook fires and a task is created.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from liftlock.domain.actions.document import ARTIFACT, MAX_BYTES, Action, ActionsFile, parse_actions
from liftlock.domain.actions.rendering import Target, render_payload, render_task
from liftlock.domain.hooks.trigger_schema import compile_trigger_schema
from liftlock.errors import ConflictError, InputInvalidError, InputValidationError, NotFoundError
from liftlock.ports.blobs import Blobs
from liftlock.ports.entropy import Entropy
from liftlock.ports.task_store import StoredTask, TaskStore
from liftlock.services.artifact_reads import ArtifactReads
from liftlock.services.authorize import Authorizer, Caller
from liftlock.services.create_task import CreateTask
from liftlock.services.fire_hook import FireHook
from liftlock.services.simulate_hook import SimulateHook
from liftlock.values.json import digest


@dataclass(frozen=True, slots=True)
class Offer:
    """What a decision task offers for a group, or for one task of it."""

    file: ActionsFile
    decision: StoredTask
    target: Target
    tags: dict[str, str] | None

    def relevant(self) -> tuple[Action, ...]:
        """Return the menu."""
        return self.file.relevant(self.tags)

    def only(self, name: str) -> Action:
        """Return the action called so; raises NotFoundError, InputInvalidError if it is not clear which."""
        if not any(action.name == name for action in self.relevant()):
            raise NotFoundError(f"there is no action {name[:64]!r} here")
        return self.file.only(name, self.tags)


@dataclass(frozen=True, slots=True)
class Plan:
    """What an action would do. `sent` is the hook's payload, or the task; `seal` names exactly what was shown.

    `task` is the task as it would be created, None if none is known; `problem` is what is in the way, None if nothing
    is known to be; `missing` is a scope expression that somebody lacks.
    """

    action: Action
    sent: dict[str, Any]
    task_id: str
    task: dict[str, Any] | None
    seal: str
    problem: str | None = None
    missing: Any = None


class OfferedActions:
    """Finds offers, plans and runs actions."""

    def __init__(
        self,
        tasks: TaskStore,
        reads: ArtifactReads,
        blobs: Blobs,
        authorizer: Authorizer,
        fire: FireHook,
        simulate: SimulateHook,
        create_task: CreateTask,
        entropy: Entropy,
    ) -> None:
        self._tasks = tasks
        self._reads = reads
        self._blobs = blobs
        self._authorizer = authorizer
        self._fire = fire
        self._simulate = simulate
        self._create_task = create_task
        self._entropy = entropy

    async def offer(self, caller: Caller, group: str, task_id: str | None, now: datetime) -> Offer:
        """Return what the group's decision task offers.

        Raises:
            RefusedError: the caller may not see the decision task, the task or the artifact.
            NotFoundError: there is no decision task, it has no actions.json yet, or the task is not of the group.
        """
        decision = await self._task(caller, group)
        task = None if task_id is None else await self._task(caller, task_id)
        if task is not None and task.task.task_group_id != group:
            raise NotFoundError(f"task {task_id} is not of the group {group}")
        run, found = await self._reads.find(caller, group, None, ARTIFACT, now)
        if found.content is None:
            raise NotFoundError(f"run {run} of task {group} has no stored artifact {ARTIFACT}")
        file = parse_actions(await self._read(found.content.blob, gzip=found.content.encoding == "gzip"))
        target = Target(group, task_id, None if task is None else task.document)
        return Offer(file, decision, target, None if task is None else task.task.tags)

    async def _task(self, caller: Caller, task_id: str) -> StoredTask:
        caller.require(f"queue:get-task:{task_id}")
        found = await self._tasks.stored([task_id])
        if not found:
            raise NotFoundError(f"task {task_id} does not exist")
        return found[0]

    async def _read(self, blob: str, *, gzip: bool) -> bytes:
        raw = bytearray()
        async for chunk in self._blobs.read(blob):
            raw += chunk
            if len(raw) > MAX_BYTES:
                raise InputInvalidError(f"{ARTIFACT}: larger than {MAX_BYTES} bytes")
        if not gzip:
            return bytes(raw)
        unpacked = zlib.decompressobj(31).decompress(bytes(raw), MAX_BYTES + 1)
        if len(unpacked) > MAX_BYTES:
            raise InputInvalidError(f"{ARTIFACT}: larger than {MAX_BYTES} bytes")
        return unpacked

    async def plan(self, caller: Caller, offer: Offer, name: str, given: Any, now: datetime) -> Plan:
        """Return what the action would do with the input `given`; nothing is created.

        Raises:
            InputValidationError: the input does not fit the action's schema.
            TemplateRefusedError, InputInvalidError: the action's template fails.
            NotFoundError, RefusedError: there is no such action or hook; the caller may not trigger or read the hook.
        """
        action = offer.only(name)
        check_input(action, given)
        if action.kind == "task":
            own = self._entropy.slugid()
            task = render_task(offer.file, action, offer.target, given, own, now=now)
            return Plan(action, task, own, task, digest([action.name, action.task, given]))
        sent = render_payload(offer.file, action, offer.target, given, now=now)
        found = await self._simulate(caller, action.hook_group_id, action.hook_id, sent, now)
        seal = digest([action.name, action.hook_payload, given, found.hook_version])
        return Plan(action, sent, found.task_id, found.task, seal, found.problem, found.missing)

    async def run(
        self, caller: Caller, offer: Offer, name: str, given: Any, seal: str, now: datetime
    ) -> str | None:
        """Do it with the caller's own scopes; return the id of the task that was created, None if there is none.

        Raises:
            ConflictError: it would do something else than what was shown as `seal`; nothing was done.
            As `plan`, `FireHook.by_trigger` and `CreateTask`.
        """
        plan = await self.plan(caller, offer, name, given, now)
        if plan.seal != seal:
            raise ConflictError(
                "the action or its hook has changed since it was shown; nothing was done. Look again"
            )
        if plan.action.kind == "task":
            # He needs every scope, and they are limited to those of the decision task.
            scopes = list(offer.decision.document.get("scopes") or ())
            limited = await self._authorizer.limited(caller, scopes, now)
            await self._create_task(limited, plan.task_id, plan.sent, now)
            return plan.task_id
        fired = await self._fire.by_trigger(
            caller, plan.action.hook_group_id, plan.action.hook_id, plan.sent, now
        )
        return None if fired.status is None else fired.task_id


def check_input(action: Action, given: Any) -> None:
    """Return if the input fits the action's schema.

    Raises:
        InputValidationError: it does not; or the action takes none, or its schema is refused.
    """
    if action.schema is None:
        if given is not None:
            raise InputValidationError(f"action {action.name!r} takes no input")
        return
    try:
        schema = compile_trigger_schema(action.schema)
    except InputInvalidError as error:
        raise InputValidationError(f"the action's schema can't be used: {error.message}") from error
    try:
        schema.validate(given)
    except InputValidationError as error:
        text = error.message.replace(
            "the payload does not fit the hook's triggerSchema:", "The input does not fit:"
        )
        raise InputValidationError(text.replace("payload", "input")) from error
