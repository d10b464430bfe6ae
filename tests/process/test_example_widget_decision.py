"""The example's `.taskcluster.yml` and graph: a push becomes these tasks and these actions, and no others (A1, A2)."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from widget_stand_in import IDENTITY, ROLE, WIDGET, Widget, push, render, repository

pytestmark = pytest.mark.process

ZEROS = "0" * 40
ACTION = {
    "name": "retrigger",
    "title": "Retrigger",
    "description": "Create a copy",
    "taskGroupId": "GROUP",
    "cb_name": "widget-retrigger",
    "symbol": "rt",
    "repo_scope": f"{ROLE}:action:generic",
    "action_perm": "generic",
}


def render_action(**over: Any) -> Any:
    context = {
        "tasks_for": "action",
        "push": push(ZEROS),
        "repository": repository(),
        "ownTaskId": "OWN",
        "taskGroupId": "GROUP",
        "taskId": "TARGET",
        "input": {"times": 2},
        "action": ACTION,
    }
    return render(**{**context, **over})


def test_a_push_renders_a_decision_task_with_the_role_of_its_branch() -> None:
    task = render(
        tasks_for="github-push", push=push(ZEROS), repository=repository(), ownTaskId="OWN", taskGroupId="OWN"
    )
    assert task["taskId"] == task["taskGroupId"] == "OWN"
    assert task["scopes"] == [f"{ROLE}:branch:main"]
    assert task["schedulerId"] == "demo-level-3"
    assert f"index.demo.v2.widget.revision.{ZEROS}.taskgraph.decision" in task["routes"]
    assert task["payload"]["features"] == {"taskclusterProxy": True}


def test_an_action_renders_a_task_of_the_group_it_acts_on_without_choosing_its_own_id() -> None:
    task = render_action()
    assert "taskId" not in task
    assert task["taskGroupId"] == "GROUP"
    assert task["scopes"] == [f"{ROLE}:action:generic"]
    assert task["tags"]["kind"] == "action-callback"
    environment = task["payload"]["env"]
    assert environment["ACTION_TASK_GROUP_ID"] == "GROUP"
    assert environment["ACTION_TASK_ID"] == '"TARGET"'
    assert json.loads(environment["ACTION_INPUT"]) == {"times": 2}


def test_an_action_on_a_group_passes_no_task_and_no_input_as_json_null() -> None:
    environment = render_action(taskId=None, input=None)["payload"]["env"]
    assert (environment["ACTION_TASK_ID"], environment["ACTION_INPUT"]) == ("null", "null")


def test_a_scheduled_run_has_the_role_of_its_job() -> None:
    task = render(
        tasks_for="cron",
        push=push(ZEROS),
        repository=repository(),
        cron={"job_name": "nightly"},
        ownTaskId="OWN",
        taskGroupId="OWN",
    )
    assert task["scopes"] == [f"{ROLE}:cron:nightly"]
    assert f"index.demo.v2.widget.revision.{ZEROS}.cron.OWN" in task["routes"]


def test_nothing_else_renders_a_task() -> None:
    assert not render(
        tasks_for="github-pull-request", push=push(ZEROS), repository=repository(), ownTaskId="OWN"
    )


def test_no_value_reaches_a_shell() -> None:
    hostile = "$(touch /tmp/x); `id` '\" main"
    pushed = {**push(ZEROS), "branch": hostile, "owner": hostile}
    task = render(
        tasks_for="github-push", push=pushed, repository=repository(), ownTaskId="OWN", taskGroupId="OWN"
    )
    commands = [task["payload"]["command"], render_action(input=hostile)["payload"]["command"]]
    shells = [
        argument for command in commands for argv in command if argv[0] == "/bin/sh" for argument in argv
    ]
    assert shells
    assert not [argument for argument in shells if "touch" in argument]
    assert f"--head-ref={hostile}" in task["payload"]["command"][-1]


def test_the_decision_creates_the_build_and_both_parts_of_the_tests_behind_it(widget: Widget) -> None:
    made = {task["metadata"]["name"]: (task_id, task) for task_id, task in widget.decide().items()}
    assert sorted(made) == ["build-dist", "test-unit-1", "test-unit-2"]
    build_id, build = made["build-dist"]
    assert build["dependencies"] == [widget.group]
    for name in ("test-unit-1", "test-unit-2"):
        _, test = made[name]
        assert test["dependencies"] == [build_id]
        wheel = test["payload"]["inputs"][1]
        assert (wheel["task"], wheel["output"]) == ({"label": "build-dist"}, "wheel")
    assert build["payload"]["outputs"] == {"wheel": "public/build/widget-1.2.0-py3-none-any.whl"}
    assert "POST /api/queue/v1/check-task-graph" in widget.api.requests
    for _, task in made.values():
        assert (task["schedulerId"], task["taskGroupId"], task["scopes"]) == (
            "demo-level-3",
            widget.group,
            ["pushes:get-source:widget"],
        )
        assert task["payload"]["inputs"][0]["git"] == {"project": "widget", "revision": widget.revision}


def test_a_graph_that_reads_what_no_task_makes_is_refused_before_any_of_its_tasks_is_created(
    widget: Widget,
) -> None:
    transforms = widget.repo / "taskcluster/widget_taskgraph/transforms.py"
    transforms.write_text(transforms.read_text().replace('"output": "wheel"', '"output": "wheels"'))
    with pytest.raises(AssertionError, match="'build-dist' declares no output 'wheels'; it declares wheel"):
        widget.decide()
    assert widget.api.tasks == {}


def test_the_full_graph_also_has_what_only_actions_create(widget: Widget) -> None:
    widget.decide()
    graph = json.loads((widget.repo / "artifacts/full-task-graph.json").read_text())
    assert sorted(graph) == ["build-dist", "measure-speed", "promote-release", "test-unit-1", "test-unit-2"]
    promotion = graph["promote-release"]
    assert promotion["task"]["scopes"] == ["secrets:get:project/widget/release", "pushes:get-source:widget"]
    assert sorted(promotion["dependencies"]) == ["build", "test-unit-1", "test-unit-2"]


def test_the_actions_are_hooks_named_after_the_hash_of_the_file(widget: Widget) -> None:
    widget.decide()
    short = hashlib.sha256((WIDGET / ".taskcluster.yml").read_bytes()).hexdigest()[:10]
    document = json.loads((widget.repo / "artifacts/actions.json").read_text())
    offered = {action["name"]: action for action in document["actions"]}
    assert sorted(offered) == [
        "add-tasks",
        "backfill",
        "cancel",
        "cancel-all",
        "create-loaner",
        "create-test-task",
        "purge-caches",
        "release-promotion",
        "rerun",
        "retrigger",
        "retrigger-decision",
    ]
    own = {"release-promotion", "create-loaner"}
    for name, action in offered.items():
        permission = name if name in own else "generic"
        assert (action["kind"], action["hookGroupId"]) == ("hook", "project-demo")
        assert action["hookId"] == f"in-tree-action-3-{permission}/{short}"
        repository_named = action["hookPayload"]["decision"]["repository"]
        assert repository_named == {"url": IDENTITY, "base_url": IDENTITY, "project": "widget", "level": "3"}


def test_the_locks_name_wheels_with_digests_and_no_place_to_get_them_from() -> None:
    for lock in WIDGET.glob("taskcluster/*requirements.txt"):
        lines = lock.read_text().splitlines()
        pins = [line for line in lines if line[0] not in " #"]
        assert pins
        assert all("==" in pin and pin.endswith("\\") for pin in pins), lock
        assert not [line for line in lines if line.startswith("--") or "://" in line], lock


def test_the_wheelhouse_script_does_nothing_when_everything_is_there(tmp_path: Path) -> None:
    script = WIDGET.parents[1] / "scripts/wheelhouse"
    closed = {"PATH": str(tmp_path), "PIP_NO_INDEX": "1"}
    done = subprocess.run([script], env=closed, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_wheelhouse_script_refuses_a_lock_without_digests(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.txt"
    lock.write_text("click==8.5.1\n")
    script = WIDGET.parents[1] / "scripts/wheelhouse"
    done = subprocess.run(
        [script, "--into", tmp_path / "wheels", lock], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "expected `name==version --hash=sha256:...`, found 'click==8.5.1'" in done.stderr


def test_the_template_is_of_version_one_with_one_task() -> None:
    document = yaml.safe_load((WIDGET / ".taskcluster.yml").read_text())
    assert (document["version"], len(document["tasks"])) == (1, 1)
