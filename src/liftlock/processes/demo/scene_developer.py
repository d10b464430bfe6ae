"""An ordinary developer: refused what is privileged, free to run what is generic (A8, A9, A12–A14, A6)."""

from __future__ import annotations

import copy
import json
from datetime import timedelta
from typing import Any

from liftlock.adapters.system.clock import SystemClock
from liftlock.adapters.system.entropy import SystemEntropy
from liftlock.cli.exit_codes import Exit
from liftlock.processes.demo.grants import (
    BRANCH,
    GENERIC,
    HOOK_GROUP,
    RELEASE_SECRET,
    REPOSITORY_ROLE,
    ROLES,
    SCHEDULER,
)
from liftlock.processes.demo.graph import Task
from liftlock.processes.demo.people import Ended, Person, refused
from liftlock.processes.demo.report import DifferenceError, expect, expect_equal
from liftlock.processes.demo.stage import FIRST_TEST, MEASUREMENT, PROMOTION, Stage, hook_payload
from liftlock.values.instants import format_instant

PRIVILEGE = f"secrets:get:{RELEASE_SECRET}"


def play(stage: Stage, developer: Person) -> None:
    """Try what a developer might try."""
    stage.say("\nRobin is an ordinary developer. First, the direct way to the privileged task:")
    with stage.report.check("direct"):
        _create_directly(stage, developer)
    with stage.report.check("secret"):
        error = refused(
            "reading the release key", lambda: developer.api.get("secrets", "secret", RELEASE_SECRET)
        )
        expect_equal("the error", (error.status, error.answered_code), (403, "InsufficientScopes"))
    with stage.report.check("explain"):
        _explain(stage, developer)
    stage.say("\nWhat Robin may do is trigger generic actions; their tasks have scopes that Robin lacks.")
    with stage.report.check("unconfirmed"):
        _do_not_confirm(stage, developer)
    with stage.report.check("generic"):
        _retrigger(stage, developer)
    with stage.report.check("add"):
        _add(stage, developer)
    with stage.report.check("backfill"):
        _backfill(stage, developer)
    stage.say(
        "\nThe generic hook is no way around: neither by its input, its callback, nor by another revision."
    )
    with stage.report.check("in-task"):
        _add_a_release(stage, developer)
    with stage.report.check("wrong-hook"):
        _promote_by_the_generic_hook(stage, developer)
    with stage.report.check("forged"):
        _forge(stage, developer)
    with stage.report.check("in-tree"):
        _withdraw(stage, developer)


def _create_directly(stage: Stage, developer: Person) -> None:
    graph = stage.json_artifact(stage.latest.group, "public/full-task-graph.json")
    definition = _complete(graph[PROMOTION]["task"], stage)
    expect(
        PRIVILEGE in definition["scopes"], f"{PROMOTION} does not ask for {PRIVILEGE}: {definition['scopes']}"
    )
    task_id = SystemEntropy().slugid()
    error = refused(
        f"creating {PROMOTION}", lambda: developer.api.put("queue", "task", task_id, payload=definition)
    )
    stage.quote(error.message)
    expect_equal("the error", (error.status, error.answered_code), (403, "InsufficientScopes"))
    expect(PRIVILEGE in error.message, f"the refusal does not name {PRIVILEGE}: {error.message}")
    missing = refused("the task that was refused", lambda: stage.root.api.get("queue", "task", task_id))
    expect_equal("looking for the task that was refused", missing.status, 404)


def _explain(stage: Stage, developer: Person) -> None:
    ended = developer.liftlock("access", "explain", PRIVILEGE)
    stage.quote(ended.stdout)
    expect_equal("the exit status", ended.status, int(Exit.DENIED))
    role = f"{REPOSITORY_ROLE}:action:release-promotion"
    expect(role in ended.stdout, f"the explanation does not name {role}, which has the scope: {ended.text}")


def _complete(template: dict[str, Any], stage: Stage) -> dict[str, Any]:
    """Return a definition that lacks nothing but the permission to create it."""
    now = SystemClock().now()
    definition = copy.deepcopy(template)
    definition.update(
        created=format_instant(now),
        deadline=format_instant(now + timedelta(hours=1)),
        expires=format_instant(now + timedelta(days=1)),
        schedulerId=SCHEDULER,
        taskGroupId=stage.latest.group,
        dependencies=[],
    )
    for one in definition["payload"]["inputs"]:
        if "task" in one:
            one["task"]["id"] = stage.task("build-dist").task_id
    return definition


def run_action(
    stage: Stage, person: Person, name: str, *, task: Task | None = None, given: Any = None
) -> tuple[Ended, list[Task]]:
    """Run an action of the newest push by the command line; return how it ended and the tasks that are new in its group."""
    group = stage.latest.group
    before = {one.task_id for one in stage.watch.tasks(group)}
    arguments = ["action", "run", group, name, "--yes"]
    if task is not None:
        arguments += ["--task-id", task.task_id]
    if given is not None:
        arguments += ["--input", json.dumps(given)]
    ended = person.liftlock(*arguments)
    return ended, [one for one in stage.watch.tasks(group) if one.task_id not in before]


def action_task(stage: Stage, ended: Ended, new: list[Task]) -> Task:
    """Return the action's own task, resolved; the command must have ended well."""
    if ended.status != Exit.OK:
        raise DifferenceError(f"the command ended with {ended.status}: {ended.text}")
    own = [one for one in new if one.definition["tags"].get("kind") == "action-callback"]
    expect(len(own) == 1, f"expected one action task, found {[one.label for one in new]}")
    [resolved] = stage.watch.until_resolved(stage.latest.group, [own[0].task_id]).values()
    return resolved


def created_by(stage: Stage, action: Task, group: str) -> list[Task]:
    """Return the group's tasks that the action's task created, resolved."""
    mine = [
        one
        for one in stage.watch.tasks(group)
        if one.definition.get("extra", {}).get("parent") == action.task_id
    ]
    return list(stage.watch.until_resolved(group, [one.task_id for one in mine]).values())


def _do_not_confirm(stage: Stage, developer: Person) -> None:
    """Without a terminal and without `--yes` there is nobody to agree, and nothing runs."""
    before = {one.task_id for one in stage.watch.tasks(stage.latest.group)}
    where = [stage.latest.group, "retrigger", "--task-id", stage.task(FIRST_TEST).task_id]
    ended = developer.liftlock("action", "run", *where)
    expect_equal("the exit status", ended.status, int(Exit.USAGE))
    role = f"assume:{REPOSITORY_ROLE}:action:generic"
    for shown in ("the task that would be created", "ACTION_CALLBACK", role, "nothing was run"):
        expect(shown in ended.stderr, f"it does not show {shown!r}: {ended.text[:2000]}")
    after = {one.task_id for one in stage.watch.tasks(stage.latest.group)}
    expect_equal("new tasks", after - before, set())


def _retrigger(stage: Stage, developer: Person) -> None:
    test = stage.task(FIRST_TEST)
    ended, new = run_action(stage, developer, "retrigger", task=test, given={"times": 1})
    action = stage.completed(action_task(stage, ended, new))
    expect_equal(
        "the scopes of the action's task",
        action.definition["scopes"],
        [f"assume:{REPOSITORY_ROLE}:action:generic"],
    )
    [copied] = _exactly_one(created_by(stage, action, stage.latest.group))
    stage.completed(copied)
    expect_equal("the label of what it created", copied.label, FIRST_TEST)
    expect(copied.task_id != test.task_id, "the copy is the task itself")
    expect(
        "OK" in stage.log(copied.task_id).splitlines()[-40:],
        "the copy's log does not end a run of unit tests",
    )


def _exactly_one(tasks: list[Task]) -> list[Task]:
    expect(len(tasks) == 1, f"expected one new task, found {[task.label for task in tasks]}")
    return tasks


def _add(stage: Stage, developer: Person) -> None:
    expect(
        MEASUREMENT not in {one.label for one in stage.watch.tasks(stage.latest.group)},
        f"{MEASUREMENT} is there already",
    )
    ended, new = run_action(stage, developer, "add-tasks", given={"tasks": [MEASUREMENT]})
    action = stage.completed(action_task(stage, ended, new))
    [added] = _exactly_one(created_by(stage, action, stage.latest.group))
    stage.latest.tasks[MEASUREMENT] = stage.completed(added)
    speed = stage.json_artifact(added.task_id, "public/speed.json")
    expect(speed["per_second"] > 0, f"the measurement makes no sense: {speed}")


def _backfill(stage: Stage, developer: Person) -> None:
    earlier = stage.pushes[-2]
    ended, new = run_action(stage, developer, "backfill", task=stage.task(MEASUREMENT), given={"depth": 1})
    action = stage.completed(action_task(stage, ended, new))
    [filled] = _exactly_one(created_by(stage, action, earlier.group))
    stage.completed(filled)
    expect_equal("the label of what it created", filled.label, MEASUREMENT)
    sources = [one["git"]["revision"] for one in filled.definition["payload"]["inputs"] if "git" in one]
    expect_equal("the revision that it measured", sources, [earlier.revision])


def _add_a_release(stage: Stage, developer: Person) -> None:
    ended, new = run_action(stage, developer, "add-tasks", given={"tasks": [PROMOTION]})
    action = action_task(stage, ended, new)
    expect_equal("the action's task", action.state, "failed")
    text = f"{PROMOTION} is part of a release: only release-promotion creates it"
    expect(text in stage.log(action.task_id), f"its log does not say: {text}")
    expect_equal("what it created", created_by(stage, action, stage.latest.group), [])


def _promote_by_the_generic_hook(stage: Stage, developer: Person) -> None:
    """The callback's name is the payload's: it may be any, and the task's own check has to hold."""
    promotion = stage.action("release-promotion", stage.latest)
    payload = hook_payload(
        promotion, group=stage.latest.group, task_id=None, given={"version": "1.2.0", "channel": "beta"}
    )
    hook = promotion["hookId"].replace("-release-promotion/", "-generic/")
    expect(hook.startswith(GENERIC), f"unexpected hook {hook}")
    answer = developer.api.post("hooks", "hooks", HOOK_GROUP, hook, "trigger", payload=payload)
    task_id = answer["status"]["taskId"] if "status" in answer else answer["taskId"]
    [action] = stage.watch.until_resolved(stage.latest.group, [task_id]).values()
    expect_equal("the task of the generic hook", action.state, "failed")
    text = f"Expected task scope assume:{REPOSITORY_ROLE}:action:release-promotion"
    expect(text in stage.log(task_id), f"its log does not say: {text}")
    expect_equal("what it created", created_by(stage, action, stage.latest.group), [])


def _forge(stage: Stage, developer: Person) -> None:
    action = stage.action("retrigger", stage.latest)
    payload = hook_payload(action, group=stage.latest.group, task_id=stage.task(FIRST_TEST).task_id, given={})
    payload = copy.deepcopy(payload)
    payload["decision"]["push"]["revision"] = "f" * 40
    error = refused(
        "the forged payload",
        lambda: developer.api.post(
            "hooks", "hooks", HOOK_GROUP, action["hookId"], "trigger", payload=payload
        ),
    )
    stage.quote(error.message)
    expect(400 <= error.status < 500, f"expected a refusal, found HTTP {error.status}")
    expect("revision" in error.message, f"the refusal does not name the revision: {error.message}")


def _withdraw(stage: Stage, developer: Person) -> None:
    """The operator takes the scope to offer hooks from the branch's role, and gives it back afterwards."""
    role = f"{REPOSITORY_ROLE}:branch:{BRANCH}"
    description, scopes = ROLES[role]
    less = [scope for scope in scopes if not scope.startswith("in-tree:")]
    stage.root.api.post("auth", "roles", role, payload={"description": description, "scopes": less})
    try:
        action = stage.action("retrigger", stage.latest)
        payload = hook_payload(
            action, group=stage.latest.group, task_id=stage.task(FIRST_TEST).task_id, given={}
        )
        error = refused(
            "firing it all the same",
            lambda: developer.api.post(
                "hooks", "hooks", HOOK_GROUP, action["hookId"], "trigger", payload=payload
            ),
        )
    finally:
        stage.root.api.post(
            "auth", "roles", role, payload={"description": description, "scopes": list(scopes)}
        )
    stage.quote(error.message)
    expect_equal("the error", (error.status, error.answered_code), (403, "InsufficientScopes"))
    expect("in-tree:hook-action:" in error.message, f"the refusal names no missing scope: {error.message}")
