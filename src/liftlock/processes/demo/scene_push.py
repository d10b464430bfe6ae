"""A push becomes tasks: recorded, decided, built, tested, and its actions offered (A1, A2, A3)."""

from __future__ import annotations

import hashlib
import time
from typing import Any

from liftlock.cli.exit_codes import Exit
from liftlock.processes.demo.grants import BRANCH, PROJECT, REPOSITORY_ROLE
from liftlock.processes.demo.people import Person
from liftlock.processes.demo.report import DifferenceError, expect, expect_equal
from liftlock.processes.demo.stage import BUILD, FIRST_TEST, ORDINARY, SECOND_TEST, Pushed, Stage

RECORD_LIMIT_S = 30.0
NEWS = "\nNautical miles are exact, too: `widget '1 nmi' --to m` prints `1852 m`.\n"


def play(stage: Stage, developer: Person) -> None:
    """Push twice, so that there is an earlier push to backfill; watch both graphs run.

    Raises:
        DifferenceError: a push did not become a group of completed tasks, which all that follows needs.
    """
    stage.say("\nRobin pushes the example project, and then a change to it.")
    with stage.report.check("push"):
        first = push_change(stage, "Convert units exactly")
        readme = stage.repository.clone / "README.md"
        readme.write_text(readme.read_text(encoding="utf-8") + NEWS, encoding="utf-8")
        second = push_change(stage, "Mention nautical miles")
        expect_equal("the numbers in the push log", (first.number, second.number), (1, 2))
    stage.report.demand("push")
    with stage.report.check("graph"):
        for push in stage.pushes:
            run_group(stage, push)
    stage.report.demand("graph")
    with stage.report.check("scopes"):
        for push in stage.pushes:
            _check_scopes(stage, push)
    with stage.report.check("artifacts"):
        _check_artifacts(stage)
    with stage.report.check("offer"):
        _check_offer(stage, developer)


def push_change(stage: Stage, message: str) -> Pushed:
    """Commit and push everything; return the push, whose decision task exists."""
    revision = stage.repository.commit(message)
    stage.say(f"robin $ git push origin {BRANCH}")
    for line in stage.repository.push().splitlines():
        stage.say(f"  {line.rstrip()}")
    recorded = _recorded(stage, revision)
    expect_equal("the branch in the push log", recorded["branch"], BRANCH)
    expect("Robin" in recorded["author"], f"the author in the push log is {recorded['author']!r}")
    push = Pushed(int(recorded["id"]), revision, recorded["taskId"])
    stage.pushes.append(push)
    stage.say(f"  push {push.number} of {PROJECT}, decision task {push.group}")
    return push


def _recorded(stage: Stage, revision: str) -> dict[str, Any]:
    """Return the push log's entry, once liftlock has observed the movement itself and started the decision task."""
    began = time.monotonic()
    while True:
        entries = [one for one in push_log(stage) if one["revision"] == revision]
        decisions = [one["decision"] for one in entries if one["decision"]["state"] != "pending"]
        if decisions:
            expect(decisions[0]["state"] == "started", f"there is no decision task: {decisions[0]}")
            return dict(entries[0])
        if time.monotonic() - began > RECORD_LIMIT_S:
            raise DifferenceError(
                f"{revision} after {RECORD_LIMIT_S:.0f} s: in the push log there is {entries}"
            )
        time.sleep(0.05)


def push_log(stage: Stage) -> list[dict[str, Any]]:
    """Return the whole push log of the project."""
    return list(stage.root.api.all_pages("pushes", "project", PROJECT, "pushes", key="pushes"))


def run_group(stage: Stage, push: Pushed) -> None:
    """Watch the push's group until all of it has completed, as it should."""
    stage.say(f"\nThe task group of push {push.number}:")
    tasks = stage.watch.until(
        push.group,
        "the decision task to end and its tasks to be resolved",
        lambda found: _is_over([one for one in found if one.task_id == push.group], found),
    )
    push.tasks = {one.label: one for one in tasks if one.task_id != push.group}
    for one in tasks:
        stage.completed(one)
    expect_equal("the tasks of the group", sorted(push.tasks), sorted(ORDINARY))
    for label in (FIRST_TEST, SECOND_TEST):
        depends = push.tasks[label].definition["dependencies"]
        expect_equal(f"what {label} depends on", depends, [push.tasks[BUILD].task_id])


def _is_over(decision: list[Any], found: list[Any]) -> bool:
    return bool(decision) and all(one.is_resolved for one in found)


def _check_scopes(stage: Stage, push: Pushed) -> None:
    definition = stage.root.api.get("queue", "task", push.group)
    expect_equal(
        "the scopes of the decision task", definition["scopes"], [f"assume:{REPOSITORY_ROLE}:branch:{BRANCH}"]
    )
    expect_equal("its group", definition["taskGroupId"], push.group)
    decided = [one.definition["metadata"]["source"] for one in push.tasks.values()]
    expect(
        all(push.revision in source for source in decided), f"sources do not name {push.revision}: {decided}"
    )


def _check_artifacts(stage: Stage) -> None:
    build = stage.task(BUILD)
    name = "widget-1.2.0-py3-none-any.whl"
    wheel = stage.artifact(build.task_id, f"public/build/{name}")
    line = f"{hashlib.sha256(wheel).hexdigest()}  {name}"
    expect(line in stage.log(build.task_id), f"the build's log does not show the digest of the wheel: {line}")
    ran = [stage.log(stage.task(label).task_id).count("... ok") for label in (FIRST_TEST, SECOND_TEST)]
    expect(min(ran) > 0, f"the two parts of the tests ran {ran} tests")
    stage.say(f"  the parts ran {ran[0]} and {ran[1]} tests on the wheel with sha256 {line[:16]}…")
    for what, task_id, artifact in (
        ("log of the decision task", stage.latest.group, "public/logs/live.log"),
        ("actions.json", stage.latest.group, "public/actions.json"),
        ("log of the build", build.task_id, "public/logs/live.log"),
        ("wheel", build.task_id, f"public/build/{name}"),
    ):
        stage.addresses.append((what, stage.root.api.url("queue", "task", task_id, "artifacts", artifact)))


def _check_offer(stage: Stage, developer: Person) -> None:
    """For the group and for a test, what is relevant, and nothing else."""
    for_test = _offered(developer, stage.latest.group, "--task-id", stage.task(FIRST_TEST).task_id)
    for_group = _offered(developer, stage.latest.group)
    expect_equal(
        "actions for a test",
        sorted(for_test),
        ["backfill", "cancel", "create-loaner", "create-test-task", "purge-caches", "rerun", "retrigger"],
    )
    expect_equal("actions for the group", sorted(for_group), ["add-tasks", "cancel-all", "release-promotion"])


def _offered(developer: Person, *arguments: str) -> list[str]:
    ended = developer.liftlock("action", "ls", *arguments, "--json")
    expect_equal(f"the exit status of liftlock action ls ({ended.text[:300]})", ended.status, int(Exit.OK))
    listed = ended.json
    return [one["name"] for one in listed["actions"]]
