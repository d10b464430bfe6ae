"""Bind the firing of an action's hook to the push that liftlock recorded: `fire_hook` asks this for every managed hook.

The payload's group is looked up among the decision tasks that liftlock created from recorded pushes, and from there on
everything is compared with that record; see `domain.actions.binding` for the rules. The last question is whether the
decision task itself had the scope to offer this hook.
"""

from __future__ import annotations

from typing import Any, Final

from liftlock.domain.actions.binding import (
    BindingRefusal,
    Claimed,
    Facts,
    RecordedDecision,
    check_binding,
    read_payload,
)
from liftlock.domain.actions.naming import ActionHookName, parse_name
from liftlock.domain.pushes.push import Push
from liftlock.errors import RepositoryError
from liftlock.ports.clock import Clock
from liftlock.ports.hook_store import HookRecord
from liftlock.ports.push_store import PushStore
from liftlock.ports.repository import Repository
from liftlock.ports.task_store import TaskStore
from liftlock.services.authorize import Authorizer, Caller
from liftlock.values.ids import is_task_id

_REVISION_LENGTHS: Final = (40, 64)


class BindAction:
    """Implements `services.fire_hook.ActionGuard`."""

    def __init__(
        self,
        pushes: PushStore,
        tasks: TaskStore,
        repository: Repository,
        authorizer: Authorizer,
        clock: Clock,
    ) -> None:
        self._pushes = pushes
        self._tasks = tasks
        self._repository = repository
        self._authorizer = authorizer
        self._clock = clock

    async def check(self, hook: HookRecord, payload: Any, caller: Caller) -> BindingRefusal | None:
        """Return why `payload` must not fire the managed `hook`, or None if every rule holds.

        Who the caller is plays no part: nobody is believed.
        """
        name = parse_name(hook.hook_group_id, hook.hook_id)
        if name is None:
            return BindingRefusal("hook-name", "liftlock makes no action hook of this name")
        claimed = read_payload(payload)
        if isinstance(claimed, BindingRefusal):
            return claimed
        push = await self._pushes.push_of_task(claimed.group) if is_task_id(claimed.group) else None
        if push is None or push.decision != "started":
            return BindingRefusal(
                "decision",
                f"decision.action.taskGroupId: {claimed.group[:64]} is no decision task that liftlock created for a push",
            )
        facts = await self._facts(hook, name, claimed, push)
        return check_binding(claimed, facts) or await self._check_offer(name, push)

    async def _facts(self, hook: HookRecord, name: ActionHookName, claimed: Claimed, push: Push) -> Facts:
        content = await self._pushes.content(name.trust_domain, name.level, name.short)
        admitted = False
        if content is not None:
            admission = await self._pushes.admission(
                name.trust_domain, name.level, name.permission, content.digest
            )
            admitted = (
                admission is not None
                and admission.state == "admitted"
                and admission.hook_digest == hook.version
            )
        decision = await self._decision(push)
        return Facts(
            hook=name,
            decision=decision,
            content_digest=None if content is None else content.digest,
            admitted=admitted,
            target_group=await self._group_of(claimed.task_id),
            known_ancestor=await self._is_ancestor(claimed.base_revision, push),
            registered_alike=await self._registered_alike(push),
        )

    async def _decision(self, push: Push) -> RecordedDecision:
        return RecordedDecision(
            task_id=push.task_id,
            project=push.project,
            identity=push.identity,
            level=push.level,
            trust_domain=push.trust_domain,
            branch=push.branch,
            revision=push.revision,
            base_revision=push.base_revision,
            owner=push.owner,
            pushlog_id=push.id,
            config_digest=push.config_digest,
            branches=tuple(sorted(await self._pushes.heads(push.project))),
        )

    async def _group_of(self, task_id: str | None) -> str | None:
        """Return the group of the task that the payload names, None if there is none."""
        if task_id is None or not is_task_id(task_id):
            return None
        task = await self._tasks.task(task_id)
        return None if task is None else task.task_group_id

    async def _is_ancestor(self, revision: object, push: Push) -> bool:
        """Tell whether the payload's base revision is in the push's history; only asked if it is another than recorded."""
        if revision in (push.base_revision, push.revision):
            return True
        if not isinstance(revision, str) or len(revision) not in _REVISION_LENGTHS or not revision.strip("0"):
            return False
        project = await self._pushes.project(push.project)
        if project is None or revision.strip("0123456789abcdef"):
            return False
        try:
            return await self._repository.is_ancestor(project, revision, push.revision)
        except RepositoryError:
            return False

    async def _registered_alike(self, push: Push) -> bool:
        project = await self._pushes.project(push.project)
        return project is not None and (project.identity, project.level, project.trust_domain) == (
            push.identity,
            push.level,
            push.trust_domain,
        )

    async def _check_offer(self, name: ActionHookName, push: Push) -> BindingRefusal | None:
        """Refuse unless the decision task's own scopes, expanded as of now, let it offer this hook."""
        found = await self._tasks.stored([push.task_id])
        scopes = found[0].document["scopes"] if found else []
        decision = await self._authorizer.internal(f"task/{push.task_id}", scopes, self._clock.now())
        if found and decision.satisfies(name.scope):
            return None
        return BindingRefusal(
            "offer",
            f"the decision task {push.task_id} of push {push.id} of {push.project} does not have {name.scope}: its "
            f"repository may not offer this hook",
        )
