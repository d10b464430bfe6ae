"""Pushes on a real store at a fixed instant, for tests: a repository in memory, and everything from ring to action."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from access_world import NOW, World
from fakes.counted_entropy import CountedEntropy
from fakes.fake_repository import FakeRepository
from liftlock.adapters.keys.sealing import KeyFileSealer
from liftlock.adapters.sql.configuration_store import SqlConfigurationStore
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.hook_store import SqlHookStore
from liftlock.adapters.sql.push_store import SqlPushStore
from liftlock.adapters.sql.task_store import SqlTaskStore
from liftlock.adapters.wakeups.in_process import InProcessWakeups
from liftlock.domain.actions.binding import GENERATORS_OWNER
from liftlock.domain.actions.naming import ActionHookName, short_of
from liftlock.domain.actions.policy import parse_policy
from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.pushes.project import Project, define_project
from liftlock.domain.pushes.push import Claim, Push
from liftlock.ports.doorbells import Ring
from liftlock.ports.hook_store import FireRecord
from liftlock.ports.push_store import Admission, PushQuery
from liftlock.services.action_policies import ActionPolicies
from liftlock.services.admit_hooks import AdmitHooks
from liftlock.services.bind_action import BindAction
from liftlock.services.create_task import CreateTask
from liftlock.services.fire_hook import Fired, FireHook
from liftlock.services.hooks import NEWEST, Hooks
from liftlock.services.observe_push import ObservePush
from liftlock.services.projects import Projects
from liftlock.services.push_log import PushLog
from liftlock.services.retry_decision import RetryDecision
from liftlock.services.start_decision import StartDecision
from liftlock.services.watch_pushes import WatchPushes
from task_builders import document, task_id

ROLE = "repo:github.com/demo/widget"
GENERIC, PROMOTION = "generic", "release-promotion"
POLICY: dict[str, Any] = {
    "trust-domain": {"demo": {"levels": [1, 3], "permissions": [GENERIC, PROMOTION]}},
    "person": [{"client": "people/robin-admin", "names": ["robin"]}],
}
CREATE = (
    "queue:create-task:lowest:local/unprivileged",
    "queue:create-task:project:none",
    "queue:scheduler-id:demo-level-3",
)
CONFIG = """\
version: 1
tasks:
  - $let: {isAction: {$eval: 'tasks_for == "action"'}}
    in:
      taskGroupId: {$if: isAction, then: '${action.taskGroupId}', else: '${ownTaskId}'}
      schedulerId: 'demo-level-3'
      taskQueueId: local/unprivileged
      scopes:
        - {$if: isAction, then: '${action.repo_scope}', else: 'assume:repo:${repository.url[8:]}:branch:main'}
      metadata:
        name: {$if: isAction, then: 'Action: ${action.title}', else: Decision}
        description: d
        owner: '${push.owner}'
        source: '${repository.url}'
      payload: {}
# """


class FixedClock:
    """Tells the same instant until it is moved."""

    def __init__(self) -> None:
        self.instant = NOW

    def now(self) -> Any:
        return self.instant


class Mailbox:
    """Implements `ports.doorbells.Doorbells` with a list."""

    def __init__(self) -> None:
        self.left: list[Ring] = []

    async def take(self) -> list[Ring]:
        taken, self.left = self.left, []
        return taken


@dataclass(slots=True)
class PushWorld:
    """A control plane's pushes on `engine`: the project widget of level 3, its roles, and the repository behind it."""

    engine: Engine
    directory: Path
    policy: dict[str, Any] = field(default_factory=lambda: POLICY)
    repository: FakeRepository = field(default_factory=FakeRepository)
    clock: FixedClock = field(default_factory=FixedClock)
    doorbells: Mailbox = field(default_factory=Mailbox)
    pulls: frozenset[str] = frozenset()
    access: World = field(init=False)
    store: SqlPushStore = field(init=False)
    tasks: SqlTaskStore = field(init=False)
    hook_store: SqlHookStore = field(init=False)
    create_task: CreateTask = field(init=False)
    projects: Projects = field(init=False)
    log: PushLog = field(init=False)
    policies: ActionPolicies = field(init=False)
    admit_hooks: AdmitHooks = field(init=False)
    start: StartDecision = field(init=False)
    watch: WatchPushes = field(init=False)
    retry: RetryDecision = field(init=False)
    guard: BindAction = field(init=False)
    fire: FireHook = field(init=False)
    hooks: Hooks = field(init=False)

    def __post_init__(self) -> None:
        self.access = World(self.engine, self.directory)
        entropy = CountedEntropy()
        sealer = KeyFileSealer.open(self.directory / "keys.json", entropy)
        authorizer = self.access.authorizer
        self.store, self.tasks = SqlPushStore(self.engine), SqlTaskStore(self.engine)
        self.hook_store = SqlHookStore(self.engine)
        self.hooks = Hooks(self.hook_store, sealer, entropy)
        self.create_task = CreateTask(self.tasks)
        self.projects = Projects(self.store, self.repository)
        self.log = PushLog(self.store, self.repository)
        self.policies = ActionPolicies(
            SqlConfigurationStore(self.engine), self.store, parse_policy(self.policy)
        )
        self.admit_hooks = AdmitHooks(self.store, self.hooks, self.policies, self.pulls)
        self.start = StartDecision(
            self.store, self.repository, self.admit_hooks, authorizer, self.create_task, self.clock
        )
        observe = ObservePush(self.store, self.repository, self.clock, entropy)
        self.watch = WatchPushes(
            self.store, observe, self.start, self.doorbells, InProcessWakeups(), self.clock
        )
        self.retry = RetryDecision(self.store, self.watch)
        self.guard = BindAction(
            self.store, self.tasks, self.repository, authorizer, self.policies, self.clock
        )
        self.fire = FireHook(
            self.hook_store, self.tasks, self.create_task, authorizer, sealer, entropy, self.guard
        )

    @classmethod
    async def make(cls, engine: Engine, directory: Path, **changes: Any) -> PushWorld:
        """Return the world with project and roles, and nothing pushed yet."""
        world = cls(engine, directory, **changes)
        await world.access.make_role(
            f"{ROLE}:branch:main", *CREATE, "in-tree:hook-action:project-demo/in-tree-action-3-*"
        )
        for permission in (GENERIC, PROMOTION):
            await world.access.make_role(f"{ROLE}:action:{permission}", *CREATE, f"secret:{permission}")
            await world.access.make_role(
                f"hook-id:project-demo/in-tree-action-3-{permission}/*", f"assume:{ROLE}:action:{permission}"
            )
        await world.register()
        return world

    async def register(self, **changes: Any) -> Project:
        """Register a project as root, widget unless told otherwise."""
        return await self.projects.register(await self.access.caller(), project(**changes), NOW)

    async def push(
        self, content: str | None = CONFIG, *claims: Claim, branch: str = "main", **commit: Any
    ) -> Push:
        """Commit to the branch, look at the project, and return the newest push of that branch."""
        self.repository.commit_to(branch, content, **commit)
        return await self.observe(*claims, branch=branch)

    async def observe(self, *claims: Claim, name: str = "widget", branch: str = "main") -> Push:
        """Look at the project now, and return the newest push of the branch."""
        await self.watch.ring(name, claims)
        await self.watch.step()
        await self.watch.settle()
        assert self.watch.last_look(name).error is None, self.watch.last_look(name).error
        [push] = await self.store.pushes(name, PushQuery(branch=branch, limit=1))
        return push

    async def observe_quietly(self) -> None:
        """Ring for widget and look at it once."""
        await self.watch.ring("widget", ())
        await self.watch.step()
        await self.watch.settle()

    async def observe_content(self, name: str, content: str) -> Push:
        """Commit `content` to main as the project's own source has it, and return its push."""
        self.repository.commit_to("main", content, project=name)
        return await self.observe(name=name)

    async def user(self, client_id: str, *scopes: str) -> Credentials:
        """Make a client; by default one who may trigger both kinds of action hooks."""
        may = [f"hooks:trigger-hook:project-demo/in-tree-action-3-{each}/*" for each in (GENERIC, PROMOTION)]
        return await self.access.make_client(client_id, *(scopes or may))

    async def admit(
        self, who: Credentials, digest: str, permission: str = PROMOTION, level: int = 3
    ) -> Admission:
        """Admit the content as `who`."""
        caller = await self.access.caller(who)
        return await self.admit_hooks.admit(caller, "demo", level, permission, digest, NOW)

    async def trigger(self, who: Credentials, payload: Any, name: ActionHookName) -> Fired:
        """Trigger the hook as `who`."""
        caller = await self.access.caller(who)
        return await self.fire.by_trigger(caller, name.group_id, name.hook_id, payload, NOW)

    async def fires(self, name: ActionHookName) -> list[FireRecord]:
        """Return the hook's fires, the newest first."""
        return await self.hook_store.fires(name.group_id, name.hook_id, before=NEWEST, limit=100)

    async def make_task(self, group: str | None = None, number: int = 900) -> str:
        """Create a task as root, in the group if there is one named, and return its id."""
        identifier = task_id(number)
        body = document(taskGroupId=group or identifier, schedulerId="demo-level-3")
        await self.create_task(await self.access.caller(), identifier, body, NOW)
        return identifier


def project(name: str = "widget", **changes: Any) -> Project:
    """Return a project."""
    given: dict[str, Any] = {
        "name": name,
        "identity": f"https://github.com/demo/{name}",
        "fetch_address": f"/srv/{name}.git",
        "level": 3,
        "branches": ["main", "dev"],
        "trust_domain": "demo",
    }
    return define_project(**(given | changes))


def digest_of(content: str) -> str:
    """Return the sha256 of a .taskcluster.yml."""
    return hashlib.sha256(content.encode()).hexdigest()


def hook_of(push: Push, permission: str = GENERIC) -> ActionHookName:
    """Return the name of the hook that the push's actions run by."""
    assert push.config_digest is not None
    return ActionHookName("demo", push.level, permission, short_of(push.config_digest))


def payload_of(push: Push, task_id: str | None = None, **changes: Any) -> dict[str, Any]:
    """Return what taskgraph's actions send for the push; `changes` are paths with `__` between their parts."""
    payload: dict[str, Any] = {
        "decision": {
            "action": {
                "name": "retrigger",
                "title": "Retrigger",
                "description": "",
                "taskGroupId": push.task_id,
                "cb_name": "retrigger",
                "symbol": "rt",
            },
            "repository": {
                "url": push.identity,
                "project": push.project,
                "level": str(push.level),
                "base_url": push.identity,
            },
            "push": {
                "owner": GENERATORS_OWNER,
                "pushlog_id": str(push.id),
                "revision": push.revision,
                "base_revision": push.base_revision,
                "branch": push.branch,
            },
        },
        "user": {"input": {}, "taskId": task_id, "taskGroupId": push.task_id},
    }
    changed = copy.deepcopy(payload)
    for path, value in changes.items():
        place = changed
        *parents, last = path.split("__")
        for part in parents:
            place = place[part]
        place[last] = value
    return changed
