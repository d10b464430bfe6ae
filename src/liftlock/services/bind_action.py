"""Bind the firing of an action's hook to the push that liftlock recorded: `fire_hook` asks this for every managed hook.

The payload's group is looked up among the decision tasks that liftlock created for recorded pushes, scheduled runs and
pull requests, and from there on
everything is compared with that record; see `domain.actions.binding` for the rules. The last question is whether the
decision task itself had the scope to offer this hook.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

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
from liftlock.ports.push_store import DecisionRun, PushStore
from liftlock.ports.repository import Repository
from liftlock.ports.task_store import TaskStore
from liftlock.services.action_policies import BY_POLICY, ActionPolicies
from liftlock.services.authorize import Authorizer, Caller
from liftlock.values.ids import is_task_id

_REVISION_LENGTHS: Final = (40, 64)


class _Recorded(NamedTuple):
    """A decision task as it was recorded, and the level that its project had then."""

    decision: RecordedDecision
    project_level: int


class BindAction:
    """Implements `services.fire_hook.ActionGuard`."""

    def __init__(
        self,
        pushes: PushStore,
        tasks: TaskStore,
        repository: Repository,
        authorizer: Authorizer,
        policies: ActionPolicies,
        clock: Clock,
    ) -> None:
        self._pushes = pushes
        self._policies = policies
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
        recorded = await self._recorded(claimed.group) if is_task_id(claimed.group) else None
        if recorded is None:
            return BindingRefusal(
                "decision",
                f"decision.action.taskGroupId: {claimed.group[:64]} is no decision task that liftlock created for a push,"
                " a scheduled run or a pull request",
            )
        facts = await self._facts(hook, name, claimed, recorded)
        return check_binding(claimed, facts) or await self._check_offer(name, recorded.decision)

    async def _recorded(self, group: str) -> _Recorded | None:
        """Return what was recorded of the group's decision task, None if liftlock created none of that id."""
        push = await self._pushes.push_of_task(group)
        if push is not None:
            if push.decision != "started":
                return None
            branches = tuple(sorted(await self._pushes.heads(push.project)))
            return _Recorded(_of_push(push, branches), push.level)
        run = await self._pushes.run_of_task(group)
        if run is None:
            return None
        branches = tuple(sorted(await self._pushes.heads(run.project)))
        return _Recorded(_of_run(run, branches), run.project_level)

    async def _facts(
        self, hook: HookRecord, name: ActionHookName, claimed: Claimed, recorded: _Recorded
    ) -> Facts:
        content = await self._pushes.content(name.trust_domain, name.level, name.short)
        policy = await self._policies.current()
        admitted = False
        if content is not None:
            admission = await self._pushes.admission(
                name.trust_domain, name.level, name.admitted_as, content.digest
            )
            admitted = (
                admission is not None
                and admission.state == "admitted"
                and admission.hook_digest == hook.version
                and policy.upholds(
                    name.trust_domain, name.level, name.permission, by_policy=admission.by == BY_POLICY
                )
            )
        return Facts(
            hook=name,
            decision=recorded.decision,
            content_digest=None if content is None else content.digest,
            admitted=admitted,
            in_policy=name.permission in policy.permissions(name.trust_domain, name.level),
            target_group=await self._group_of(claimed.task_id),
            known_ancestor=await self._is_ancestor(claimed.base_revision, recorded.decision),
            registered_alike=await self._registered_alike(recorded),
        )

    async def _group_of(self, task_id: str | None) -> str | None:
        """Return the group of the task that the payload names, None if there is none."""
        if task_id is None or not is_task_id(task_id):
            return None
        task = await self._tasks.task(task_id)
        return None if task is None else task.task_group_id

    async def _is_ancestor(self, revision: object, decision: RecordedDecision) -> bool:
        """Tell whether the payload's base revision is in the history; only asked if it is another than recorded."""
        if revision in (decision.base_revision, decision.revision):
            return True
        if not isinstance(revision, str) or len(revision) not in _REVISION_LENGTHS or not revision.strip("0"):
            return False
        project = await self._pushes.project(decision.project)
        if project is None or revision.strip("0123456789abcdef"):
            return False
        try:
            return await self._repository.is_ancestor(project, revision, decision.revision)
        except RepositoryError:
            return False

    async def _registered_alike(self, recorded: _Recorded) -> bool:
        decision = recorded.decision
        project = await self._pushes.project(decision.project)
        return project is not None and (project.identity, project.level, project.trust_domain) == (
            decision.identity,
            recorded.project_level,
            decision.trust_domain,
        )

    async def _check_offer(self, name: ActionHookName, decision: RecordedDecision) -> BindingRefusal | None:
        """Refuse unless the decision task's own scopes, expanded as of now, let it offer this hook."""
        found = await self._tasks.stored([decision.task_id])
        scopes = found[0].document["scopes"] if found else []
        caller = await self._authorizer.internal(f"task/{decision.task_id}", scopes, self._clock.now())
        if found and caller.satisfies(name.scope):
            return None
        return BindingRefusal(
            "offer",
            f"the decision task {decision.task_id} of {decision.title} does not have {name.scope}: its "
            f"repository may not offer this hook",
        )


def _of_push(push: Push, branches: tuple[str, ...]) -> RecordedDecision:
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
        branches=branches,
    )


def _of_run(run: DecisionRun, branches: tuple[str, ...]) -> RecordedDecision:
    return RecordedDecision(
        task_id=run.task_id,
        project=run.project,
        identity=run.identity,
        level=run.level,
        trust_domain=run.trust_domain,
        branch=run.branch,
        revision=run.revision,
        base_revision=run.base_revision,
        owner=run.owner,
        pushlog_id=run.pushlog_id,
        config_digest=run.config_digest,
        branches=branches,
        kind=run.kind,
    )
