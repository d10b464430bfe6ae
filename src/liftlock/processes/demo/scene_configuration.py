"""Privileges as files that are checked before they apply, and actions that ride the trains (E4, A16, A10)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from liftlock.cli.exit_codes import Exit
from liftlock.processes.demo.people import Person
from liftlock.processes.demo.report import expect, expect_equal
from liftlock.processes.demo.scene_push import push_change, run_group
from liftlock.processes.demo.stage import FIRST_TEST, Pushed, Stage

BRIDGE = """\
maintenance/bridge:
  name: Only a helper
  owner: operators@example.org
  triggered-by: [everyone-at-try]
  scopes: ["hooks:trigger-hook:maintenance/sign"]
  task: {payload: {}}
maintenance/sign:
  name: Signs releases
  owner: operators@example.org
  scopes: ["secrets:get:project/widget/release"]
  task: {payload: {}}
"""


def play(stage: Stage, developer: Person, example: Path) -> None:
    """Check a good and a bad configuration; then change `.taskcluster.yml`, and run actions of the old and the new push."""
    stage.say("\nAll privileges as a reviewed folder of files. Two harmless looking hooks are added to it:")
    with stage.report.check("configuration"):
        _check_files(stage, example)
    stage.say("\nRobin changes .taskcluster.yml: the new push's actions run by a hook of their own, at once.")
    with stage.report.check("trains"):
        _ride(stage, developer)


def _check_files(stage: Stage, example: Path) -> None:
    folder = stage.folder / "configuration"
    shutil.copytree(example, folder, ignore=shutil.ignore_patterns("checks"))
    good = stage.root.liftlock("config", "check", str(folder))
    expect_equal(f"the exit status ({good.text[:500]})", good.status, int(Exit.OK))
    hooks = folder / "hooks.yml"
    hooks.write_text(hooks.read_text(encoding="utf-8") + BRIDGE, encoding="utf-8")
    bad = stage.root.liftlock("config", "check", str(folder))
    stage.quote("\n".join(line for line in bad.stdout.splitlines() if not line.startswith("ok ")))
    expect_equal("the exit status", bad.status, int(Exit.VERIFICATION_FAILED))
    for shown in (
        "secrets:get:project/widget/release is for level 3 only, and is reached from level 1",
        "1. group everyone-at-try triggers the hook maintenance/bridge",
        "2. the task of the hook maintenance/bridge triggers the hook maintenance/sign",
    ):
        expect(shown in bad.stdout, f"it does not show {shown!r}: {bad.text}")


def _ride(stage: Stage, developer: Person) -> None:
    old = stage.latest
    config = stage.repository.clone / ".taskcluster.yml"
    config.write_text(config.read_text(encoding="utf-8") + "# Changed.\n", encoding="utf-8")
    new = push_change(stage, "Change .taskcluster.yml")
    run_group(stage, new)
    hooks = [stage.action("retrigger", push)["hookId"] for push in (old, new)]
    expect(hooks[0] != hooks[1], f"both pushes offer the hook {hooks[0]}")
    for push, hook in ((new, hooks[1]), (old, hooks[0])):
        expect_equal(f"the task of {hook}", _retrigger(stage, developer, push), "completed")


def _retrigger(stage: Stage, developer: Person, push: Pushed) -> str:
    """Return the state in which the action's task ends."""
    before = {one.task_id for one in stage.watch.tasks(push.group)}
    target = push.tasks[FIRST_TEST].task_id
    ended = developer.liftlock(
        *("action", "run", push.group, "retrigger", "--yes"),
        *("--task-id", target, "--input", json.dumps({"times": 1})),
    )
    expect_equal(f"the exit status ({ended.text[:500]})", ended.status, int(Exit.OK))
    new = [one for one in stage.watch.tasks(push.group) if one.task_id not in before]
    own = [one for one in new if one.definition["tags"].get("kind") == "action-callback"]
    expect_equal("the action's tasks", len(own), 1)
    [resolved] = stage.watch.until_resolved(push.group, [own[0].task_id]).values()
    return stage.completed(resolved).state
