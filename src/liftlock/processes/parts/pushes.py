"""Projects, pushes, decision tasks, and the hooks that pushes bring."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from liftlock.adapters.doorbells.drop_box import DropBox
from liftlock.adapters.git.mirror import GitMirrors
from liftlock.adapters.mercurial.by_kind import MirrorsByKind
from liftlock.adapters.mercurial.mirror import MercurialMirrors
from liftlock.adapters.sql.configuration_store import SqlConfigurationStore
from liftlock.adapters.sql.cron_store import SqlCronStore
from liftlock.adapters.sql.push_store import SqlPushStore
from liftlock.domain.actions.policy import Policy, parse_policy
from liftlock.errors import InputInvalidError
from liftlock.processes.integrations_file import pull_projects
from liftlock.processes.loops import Loop
from liftlock.processes.parts.foundation import Foundation, Part
from liftlock.processes.parts.hooks import HookServices
from liftlock.services.action_policies import ActionPolicies
from liftlock.services.admit_hooks import AdmitHooks
from liftlock.services.bind_action import BindAction
from liftlock.services.bring_hooks import BringHooks
from liftlock.services.decide_again import DecideAgain
from liftlock.services.observe_push import ObservePush
from liftlock.services.projects import Projects
from liftlock.services.push_log import PushLog
from liftlock.services.retire_hooks import RetireHooks
from liftlock.services.retry_decision import RetryDecision
from liftlock.services.run_cron import RunCron
from liftlock.services.start_decision import StartDecision
from liftlock.services.watch_pushes import CHANNEL, WatchPushes
from liftlock.web import api_action_policies, api_pushes


@dataclass(frozen=True, slots=True)
class PushServices:
    """What other parts use of pushes."""

    store: SqlPushStore
    observe: ObservePush
    repository: MirrorsByKind
    watch: WatchPushes


MIRRORS = "mirrors"
LOOK_AT_DROP_BOX_S = 5.0
"""A ring is also told by HTTP; the drop box is for what was left while nobody answered."""


def part(base: Foundation, hooks: HookServices) -> tuple[Part, BindAction, PushServices]:
    """Return the pushes service, the guard of managed action hooks, and what others use of it."""
    store = SqlPushStore(base.engine)
    mirrors = base.directory / MIRRORS
    repository = MirrorsByKind({"git": GitMirrors(mirrors), "hg": MercurialMirrors(mirrors)})
    policies = ActionPolicies(SqlConfigurationStore(base.engine), store, _policy(base.told.policy))
    admit = AdmitHooks(store, hooks.hooks, policies, pull_projects(base.told.integrations))
    observe = ObservePush(store, repository, base.clock, base.entropy)
    start = StartDecision(store, repository, admit, base.authorizer, base.create_task, base.clock)
    path = Path(base.told.drop_box) if base.told.drop_box else base.directory / "doorbell"
    drop_box = DropBox.make(path, base.clock)
    watch = WatchPushes(store, observe, start, drop_box, base.wakeups, base.clock)
    routes = api_pushes.routes(
        Projects(store, repository),
        PushLog(store, repository),
        watch,
        admit,
        RetryDecision(store, watch),
        DecideAgain(store, repository, base.authorizer, base.create_task, base.entropy),
        drop_box=str(drop_box.path),
    )
    routes += api_action_policies.routes(policies, BringHooks(store, repository, admit))
    guard = BindAction(store, base.tasks, repository, base.authorizer, policies, base.clock)
    cron = RunCron(
        SqlCronStore(base.engine),
        store,
        repository,
        base.authorizer,
        base.create_task,
        base.leases,
        base.clock,
        base.entropy,
    )
    retire = RetireHooks(hooks.store, store, base.leases, base.clock, holder=base.holder)
    loops = (
        Loop("watch pushes", watch.step, LOOK_AT_DROP_BOX_S, CHANNEL),
        Loop("start scheduled runs", cron.step, 20),
        Loop("retire hooks of actions", retire.step, 3600),
    )
    return Part(tuple(routes), loops), guard, PushServices(store, observe, repository, watch)


def _policy(text: str | None) -> Policy:
    if text is None:
        return parse_policy({})
    try:
        return parse_policy(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InputInvalidError(f"policy: expected TOML: {error}") from error
