"""Actions of groups that are no push's: of scheduled runs and of pull requests (A8, A10, A11)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from access_world import NOW
from fakes.counted_entropy import CountedEntropy
from liftlock.adapters.sql.cron_store import SqlCronStore
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.lease import SqlLeases
from liftlock.domain.actions.naming import ActionHookName, short_of
from liftlock.domain.credentials.certificates import Credentials
from liftlock.errors import ConflictError, NotFoundError, RefusedError
from liftlock.ports.envelope import Envelope
from liftlock.ports.push_store import DecisionRun
from liftlock.services.authorize import Caller
from liftlock.services.create_task import CreateTask
from liftlock.services.decide_again import DecideAgain
from liftlock.services.run_cron import RunCron
from liftlock.services.start_decision import StartDecision
from push_world import CREATE, GENERIC, PROMOTION, ROLE, PushWorld, digest_of, hook_of, payload_of, project

CONFIG = """\
version: 1
tasks:
  - $let:
      isAction: {$eval: 'tasks_for in ["action", "pr-action"]'}
    in:
      taskGroupId: {$if: isAction, then: '${action.taskGroupId}', else: '${ownTaskId}'}
      schedulerId: 'demo-level-3'
      taskQueueId: local/unprivileged
      scopes:
        - $if: isAction
          then: '${action.repo_scope}'
          else: {$if: 'tasks_for == "cron"', then: 'assume:repo:${repository.url[8:]}:cron:nightly', else: 'assume:repo:${repository.url[8:]}:branch:main'}
      metadata: {name: Task, description: '${tasks_for}', owner: o@example.org, source: 'https://x'}
      payload: {}
"""
CRON = "version: 1\njobs:\n  - {name: nightly, job: {type: decision-task}, when: [{hour: 13, minute: 0}]}\n"
PULL_GROUP = "A" * 21 + "A"


@pytest.fixture
async def world(engine: Engine, tmp_path: Path) -> PushWorld:
    made = await PushWorld.make(engine, tmp_path, pulls=frozenset({"widget"}))
    offer = "in-tree:hook-action:project-demo/in-tree-action-3-*"
    await made.access.make_role(f"{ROLE}:cron:nightly", *CREATE, offer)
    await made.access.make_role(f"{ROLE}:pr-action:generic", *CREATE)
    await made.access.make_role(
        "hook-id:project-demo/in-tree-pr-action-1-generic/*", f"assume:{ROLE}:pr-action:generic"
    )
    made.repository.others[".cron.yml"] = CRON.encode()
    return made


async def run_cron(world: PushWorld) -> str:
    """Start the scheduled run, and return its task's id."""
    entropy = CountedEntropy()
    for _ in range(500):
        entropy.slugid()
    cron = RunCron(
        SqlCronStore(world.engine),
        world.store,
        world.repository,
        world.access.authorizer,
        world.create_task,
        SqlLeases(world.engine),
        world.clock,
        entropy,
    )
    await cron.step()
    world.clock.instant = NOW + timedelta(hours=1)
    assert await cron.step() == 1
    [state] = await SqlCronStore(world.engine).states("widget")
    return str(state.task_id)


async def start_pull(world: PushWorld, **changes: Any) -> DecisionRun:
    """Create the decision task of a pull request, as its policy lets it be created, and return what is recorded."""
    await world.access.make_role(
        f"{ROLE}:pull-request", *CREATE, "in-tree:hook-action:project-demo/in-tree-pr-action-1-*"
    )
    task = await world.make_task(number=700)
    given: dict[str, Any] = {
        "task_id": task,
        "kind": "pull",
        "at": NOW,
        "project": "widget",
        "identity": "https://github.com/demo/widget",
        "trust_domain": "demo",
        "project_level": 3,
        "level": 1,
        "branch": "fix",
        "revision": "c" * 40,
        "base_revision": "b" * 40,
        "owner": "mallory",
        "pushlog_id": 0,
        "config_digest": digest_of(CONFIG),
    }
    run = DecisionRun(**(given | changes))
    await world.hook_store.commit(Envelope(NOW, records=(run,)))
    return run


def payload_of_run(run: DecisionRun, **changes: Any) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "decision": {
            "action": {
                "name": "retrigger",
                "title": "Retrigger",
                "description": "",
                "taskGroupId": run.task_id,
                "cb_name": "retrigger",
                "symbol": "rt",
            },
            "repository": {"url": run.identity, "project": run.project, "level": str(run.level)},
            "push": {
                "owner": "mozilla-taskcluster-maintenance@mozilla.com",
                "pushlog_id": str(run.pushlog_id),
                "revision": run.revision,
                "base_revision": run.base_revision,
                "branch": run.branch,
            },
        },
        "user": {"input": {}, "taskId": None, "taskGroupId": run.task_id},
    }
    for path, value in changes.items():
        at = payload
        *parents, last = path.split("__")
        for each in parents:
            at = at[each]
        at[last] = value
    return payload


def pull_hook(permission: str = GENERIC, content: str = CONFIG) -> ActionHookName:
    return ActionHookName("demo", 1, permission, short_of(digest_of(content)), pull=True)


async def anybody(world: PushWorld) -> Credentials:
    return await world.user("people/robin", "hooks:trigger-hook:project-demo/*")


async def refused(world: PushWorld, who: Credentials, payload: Any, name: ActionHookName) -> str:
    with pytest.raises(RefusedError) as error:
        await world.trigger(who, payload, name)
    return str(error.value.details["rule"])


async def test_a11_an_action_works_on_the_group_of_a_scheduled_run(world: PushWorld) -> None:
    push = await world.push(CONFIG)
    task_id = await run_cron(world)
    run = await world.store.run_of_task(task_id)
    assert run is not None
    assert (run.kind, run.level, run.pushlog_id, run.config_digest) == (
        "cron",
        3,
        push.id,
        push.config_digest,
    )
    fired = await world.trigger(await anybody(world), payload_of_run(run), hook_of(push))
    assert fired.status is not None
    [task] = await world.tasks.stored([fired.task_id])
    assert task.document["taskGroupId"] == task_id
    assert task.document["scopes"] == [f"assume:{ROLE}:action:generic"]


async def test_a11_an_action_of_a_scheduled_run_is_bound_to_what_was_recorded_of_it(world: PushWorld) -> None:
    push = await world.push(CONFIG)
    run = await world.store.run_of_task(await run_cron(world))
    assert run is not None
    robin = await anybody(world)
    for changes, rule in (
        ({"decision__push__revision": "d" * 40}, "revision"),
        ({"decision__push__pushlog_id": "-1"}, "pushlog-id"),
        ({"user__taskGroupId": push.task_id}, "group"),
        ({"user__taskId": push.task_id}, "task"),
    ):
        assert await refused(world, robin, payload_of_run(run, **changes), hook_of(push)) == rule


async def test_a10_a_push_brings_the_hooks_for_actions_of_pull_requests_too(world: PushWorld) -> None:
    await world.push(CONFIG)
    hook = await world.hook_store.hook(pull_hook().group_id, pull_hook().hook_id)
    assert hook is not None
    assert hook.managed
    assert hook.document["task"]["$let"]["tasks_for"] == "pr-action"
    assert hook.document["task"]["$let"]["action"]["repo_scope"].endswith(":pr-action:generic")
    run = await start_pull(world)
    # The decision task of the pull request has what its role has; here it was made by root without scopes.
    assert await refused(world, await anybody(world), payload_of_run(run), pull_hook()) == "offer"


async def test_a10_without_pull_requests_a_push_brings_no_hooks_for_them(
    engine: Engine, tmp_path: Path
) -> None:
    world = await PushWorld.make(engine, tmp_path)
    await world.push(CONFIG)
    assert await world.hook_store.hook(pull_hook().group_id, pull_hook().hook_id) is None


async def test_a8_restricted_actions_of_pull_requests_wait_for_a_consent_of_their_own(
    world: PushWorld,
) -> None:
    push = await world.push(CONFIG)
    assert f"pull-request/{PROMOTION}: the content {push.config_digest} waits" in " ".join(push.alerts)
    run = await start_pull(world)
    robin = await anybody(world)
    assert await refused(world, robin, payload_of_run(run), pull_hook(PROMOTION)) == "admission"
    lead = await world.user("people/lead", f"pushes:admit-hooks:1:{PROMOTION}")
    with pytest.raises(RefusedError, match=f"pushes:admit-hooks:1:pull-request/{PROMOTION}"):
        await world.admit(lead, digest_of(CONFIG), f"pull-request/{PROMOTION}", 1)
    boss = await world.user("people/boss", "pushes:admit-hooks:1:*")
    await world.admit(boss, digest_of(CONFIG), f"pull-request/{PROMOTION}", 1)
    assert await refused(world, robin, payload_of_run(run), pull_hook(PROMOTION)) == "offer"


async def test_a_pull_requests_group_and_a_pushs_hook_do_not_go_together(world: PushWorld) -> None:
    push = await world.push(CONFIG)
    run = await start_pull(world)
    robin = await anybody(world)
    assert await refused(world, robin, payload_of_run(run), hook_of(push)) == "hook-kind"
    assert await refused(world, robin, payload_of(push), pull_hook()) == "hook-kind"


async def test_a_pull_request_that_changes_the_file_has_no_hook_of_its_own(world: PushWorld) -> None:
    await world.push(CONFIG)
    changed = digest_of(CONFIG + "# theirs\n")
    run = await start_pull(world, config_digest=changed)
    assert await refused(world, await anybody(world), payload_of_run(run), pull_hook()) == "content"


async def decide_again(world: PushWorld, push_id: int, who: Credentials | None = None) -> str:
    entropy = CountedEntropy()
    for _ in range(800):
        entropy.slugid()
    again = DecideAgain(world.store, world.repository, world.access.authorizer, world.create_task, entropy)
    caller = await (world.access.caller() if who is None else world.access.caller(who))
    return await again(caller, "widget", push_id, NOW)


async def test_a12_a_push_is_decided_again_in_a_new_group_and_its_actions_work_there(
    world: PushWorld,
) -> None:
    push = await world.push(CONFIG)
    lead = await world.access.make_client("people/lead", "pushes:decide-again:widget")
    task_id = await decide_again(world, push.id, lead)
    [task] = await world.tasks.stored([task_id])
    assert task.document["taskGroupId"] == task_id != push.task_id
    assert task.document["scopes"] == [f"assume:{ROLE}:branch:main"]
    run = await world.store.run_of_task(task_id)
    assert run is not None
    assert (run.kind, run.revision, run.pushlog_id) == ("push", push.revision, push.id)
    fired = await world.trigger(await anybody(world), payload_of_run(run), hook_of(push))
    assert fired.status is not None
    [entry] = await world.access.store.history(f"project/widget/push/{push.id}", before=2**60, limit=1)
    assert (entry.actor, entry.action, entry.details) == (
        "people/lead",
        "pushes.decideAgain",
        {"taskId": task_id},
    )


async def test_a_push_is_decided_again_only_by_who_may_and_only_if_it_was_decided(world: PushWorld) -> None:
    push = await world.push(CONFIG)
    nobody = await world.access.make_client("people/nobody", "pushes:decide-again:gadget")
    with pytest.raises(RefusedError, match="pushes:decide-again:widget"):
        await decide_again(world, push.id, nobody)
    with pytest.raises(NotFoundError, match="there is no push 99 in the log of a project widget"):
        await decide_again(world, 99)
    none = await world.push("version: 1\ntasks: []\n")
    with pytest.raises(ConflictError, match="its decision is none, not started"):
        await decide_again(world, none.id)
    root = await world.access.caller()
    await world.projects.update(root, project(level=1), NOW)
    with pytest.raises(ConflictError, match="registered with another identity, level or trust domain since"):
        await decide_again(world, push.id)


async def test_a10_a_pushs_hooks_are_there_before_its_decision_task_is(world: PushWorld) -> None:
    seen: list[list[str]] = []

    class Seeing(CreateTask):
        async def __call__(self, caller: Caller, task_id: str, *more: Any, **options: Any) -> Any:
            seen.append(await world.hook_store.names())
            return await super().__call__(caller, task_id, *more, **options)

    world.start = StartDecision(
        world.store,
        world.repository,
        world.admit_hooks,
        world.access.authorizer,
        Seeing(world.tasks),
        world.clock,
    )
    world.watch._start = world.start
    push = await world.push(CONFIG)
    [names] = seen
    assert f"{hook_of(push).group_id}/{hook_of(push).hook_id}" in names
