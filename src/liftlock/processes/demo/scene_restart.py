"""Nothing is lost: the control plane is killed while a task runs, and liftlock is stopped and started again (E1)."""

from __future__ import annotations

from typing import Any

from liftlock.cli.exit_codes import Exit
from liftlock.processes.demo.grants import HOOK_GROUP, PROJECT
from liftlock.processes.demo.people import Person
from liftlock.processes.demo.report import DifferenceError, expect, expect_equal
from liftlock.processes.demo.scene_developer import action_task, created_by, run_action
from liftlock.processes.demo.stage import FIRST_TEST, Stage


def play(stage: Stage, developer: Person) -> None:
    """Kill, stop, start, compare."""
    stage.say("\nNow the control plane is killed, right after an action was triggered.")
    with stage.report.check("killed"):
        _kill(stage, developer)
    stage.say("\nAnd liftlock is stopped and started again on the same directory.")
    with stage.report.check("restarted"):
        before = _everything(stage)
        stage.server.stop()
        seconds = stage.server.start()
        stage.say(f"  it answers again after {seconds:.1f} s")
        after = _everything(stage)
        for what, value in before.items():
            expect_equal(what, after[what], value)


def _kill(stage: Stage, developer: Person) -> None:
    ended, new = run_action(stage, developer, "retrigger", task=stage.task(FIRST_TEST), given={"times": 1})
    expect_equal("the exit status", ended.status, int(Exit.OK))
    pid = stage.server.kill_control_plane()
    stage.say(f"  killed process {pid}")
    stage.server.wait_until_it_answers()
    action = stage.completed(action_task(stage, ended, new))
    made = created_by(stage, action, stage.latest.group)
    expect_equal("what the action created", [one.label for one in made], [FIRST_TEST])
    stage.completed(made[0])


def _everything(stage: Stage) -> dict[str, Any]:
    """Return what must survive: pushes, tasks with their runs, artifacts' lists, fires, clients, roles."""
    api = stage.root.api
    found: dict[str, Any] = {
        "clients": list(api.all_pages("auth", "clients", "", key="clients")),
        "roles": api.get("auth", "roles", ""),
        "pushes": list(api.all_pages("pushes", "project", PROJECT, "pushes", key="pushes")),
    }
    for push in stage.pushes:
        tasks = stage.watch.tasks(push.group)
        if not tasks:
            raise DifferenceError(f"group {push.group} has no tasks")
        for task in tasks:
            found[f"status of {task.task_id}"] = api.get("queue", "task", task.task_id, "status")
            found[f"artifacts of {task.task_id}"] = api.get("queue", "task", task.task_id, "artifacts")
    for name in ("retrigger", "release-promotion"):
        hook = stage.action(name, stage.latest)["hookId"]
        found[f"fires of {hook}"] = api.get("hooks", "hooks", HOOK_GROUP, hook, "last-fires")
    expect(bool(found["pushes"]), "the push log is empty")
    return found
