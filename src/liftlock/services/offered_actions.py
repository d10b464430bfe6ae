"""In-tree actions as a page offers them: what a push offers, what one would do, and doing it with one's own scopes.

actions.json is untrusted. It decides what is shown; what may happen is decided where a hook fires and a task is created.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from liftlock.domain.actions.document import ARTIFACT, MAX_BYTES, Action, ActionsFile, parse_actions
from liftlock.domain.actions.rendering import Target, render_payload, render_task
from liftlock.domain.hooks.trigger_schema import compile_trigger_schema
from liftlock.domain.tasks.definition import CREATED_TOLERANCE
from liftlock.errors import ConflictError, InputInvalidError, InputValidationError, NotFoundError
from liftlock.ports.entropy import Entropy
from liftlock.ports.task_store import StoredTask, TaskStore
from liftlock.services.artifact_reads import ArtifactReads
from liftlock.services.authorize import Authorizer, Caller
from liftlock.services.create_task import CreateTask
from liftlock.services.fire_hook import FireHook
from liftlock.services.simulate_hook import SimulateHook
from liftlock.values.json import digest

SHOWN_FOR: Final = CREATED_TOLERANCE - timedelta(minutes=1)
"""How long after it was shown an action may be confirmed: the queue takes no task whose time is further away."""


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
class Moment:
    """What a template may take from the moment at which it is rendered: the id of a new task, and the time.

    Both are fixed when an action is shown and come back with the confirmation, so that what happens is what was shown.
    They give nobody anything: who creates a task chooses its id and its time, within what the queue allows.
    """

    task_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Plan:
    """What an action would do. `sent` is the hook's payload, or the task; `seal` names exactly what was shown.

    `moment` is when it was rendered. `task` is the task as it would be created, None if none is known; `problem` is what is in the way, None if nothing
    is known to be; `missing` is a scope expression that somebody lacks.
    """

    action: Action
    sent: dict[str, Any]
    moment: Moment
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
        authorizer: Authorizer,
        fire: FireHook,
        simulate: SimulateHook,
        create_task: CreateTask,
        entropy: Entropy,
    ) -> None:
        self._tasks = tasks
        self._reads = reads
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
        file = parse_actions(await self._reads.whole(found.content, most=MAX_BYTES))
        target = Target(group, task_id, None if task is None else task.document)
        return Offer(file, decision, target, None if task is None else task.task.tags)

    async def _task(self, caller: Caller, task_id: str) -> StoredTask:
        caller.require(f"queue:get-task:{task_id}")
        found = await self._tasks.stored([task_id])
        if not found:
            raise NotFoundError(f"task {task_id} does not exist")
        return found[0]

    def moment(self, now: datetime) -> Moment:
        """Return this moment, for an action that is shown now."""
        return Moment(self._entropy.slugid(), now)

    async def plan(
        self, caller: Caller, offer: Offer, name: str, given: Any, moment: Moment, now: datetime
    ) -> Plan:
        """Return what the action would do with the input `given`; nothing is created.

        Raises:
            InputValidationError: the input does not fit the action's schema.
            TemplateRefusedError, InputInvalidError: the action's template fails.
            NotFoundError, RefusedError: there is no such action or hook; the caller may not trigger or read the hook.
        """
        action = offer.only(name)
        check_input(action, given)
        if action.kind == "task":
            task = render_task(offer.file, action, offer.target, given, moment.task_id, now=moment.at)
            return Plan(action, task, moment, task, digest([action.name, given, moment.task_id, task]))
        sent = render_payload(offer.file, action, offer.target, given, now=moment.at)
        found = await self._simulate(caller, action.hook_group_id, action.hook_id, sent, now)
        seal = digest([action.name, given, sent, found.hook_version])
        return Plan(action, sent, moment, found.task, seal, found.problem, found.missing)

    async def run(
        self, caller: Caller, offer: Offer, name: str, given: Any, seal: str, moment: Moment, now: datetime
    ) -> str | None:
        """Do it with the caller's own scopes; return the id of the task that was created, None if there is none.

        Args:
            seal: Of what was shown.
            moment: When that was rendered.
        Raises:
            ConflictError: it would do something else than what was shown, or was shown too long ago; nothing was done.
            As `plan`, `FireHook.by_trigger` and `CreateTask`.
        """
        if not now - SHOWN_FOR <= moment.at <= now:
            raise ConflictError("this was shown too long ago; nothing was done. Look again")
        plan = await self.plan(caller, offer, name, given, moment, now)
        if plan.seal != seal:
            raise ConflictError(
                "the action or its hook has changed since it was shown; nothing was done. Look again"
            )
        if plan.action.kind == "task":
            # He needs every scope, and they are limited to those of the decision task.
            scopes = list(offer.decision.document.get("scopes") or ())
            limited = await self._authorizer.limited(caller, scopes, now)
            await self._create_task(limited, moment.task_id, plan.sent, now)
            return moment.task_id
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
