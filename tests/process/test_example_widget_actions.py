"""The example's in-tree actions, run by taskgraph as their hooks run them, and the checks inside their tasks (A2, A13)."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from widget_stand_in import ROLE, Api, Proxy, Widget, checkout

pytestmark = pytest.mark.process


def named(widget: Widget, label: str) -> str:
    [task_id] = [i for i, task in widget.api.tasks.items() if task["metadata"]["name"] == label]
    return task_id


@pytest.fixture(scope="module")
def decided_once(tmp_path_factory: pytest.TempPathFactory, taskgraph_tree: Path) -> Widget:
    """A push whose decision task has run, to be copied: its API is closed."""
    api, build = Api(), tmp_path_factory.mktemp("decided")
    proxy = Proxy(api)
    widget = Widget(api, build, taskgraph_tree, checkout(build / "repo"))
    widget.decide()
    proxy.close()
    return widget


@pytest.fixture
def decided(decided_once: Widget, tmp_path: Path) -> Iterator[Widget]:
    """A push whose decision task has run."""
    api, build = copy.deepcopy(decided_once.api), tmp_path / "build"
    shutil.copytree(decided_once.build, build, symlinks=True)
    proxy = Proxy(api)
    yield Widget(api, build, decided_once.taskgraph, decided_once.revision)
    proxy.close()


def test_retrigger_creates_a_copy_that_uses_the_same_build(decided: Widget) -> None:
    made, done = decided.act("retrigger", task_id=named(decided, "test-unit-1"), given={})
    assert done.returncode == 0, done.stdout
    [copy] = made.values()
    assert copy["metadata"]["name"] == "test-unit-1"
    assert copy["taskGroupId"] == decided.group
    assert sorted(copy["dependencies"]) == sorted(["ACTION", decided.group, named(decided, "build-dist")])
    assert copy["extra"]["parent"] == "ACTION"


def test_retrigger_creates_as_many_copies_as_asked_for_and_what_depends_on_them(decided: Widget) -> None:
    given = {"times": 2, "downstream": True}
    made, done = decided.act("retrigger", task_id=named(decided, "build-dist"), given=given)
    assert done.returncode == 0, done.stdout
    assert sorted(task["metadata"]["name"] for task in made.values()) == (
        ["build-dist"] * 2 + ["test-unit-1"] * 2 + ["test-unit-2"] * 2
    )


def test_retrigger_without_input_takes_the_defaults(decided: Widget) -> None:
    made, done = decided.act("retrigger", task_id=named(decided, "build-dist"))
    assert (done.returncode, len(made)) == (0, 1), done.stdout


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"schedulerId": "demo-level-1"}, "expected schedulerId demo-level-3, found demo-level-1"),
        ({"workerType": "privileged"}, "expected queue local/unprivileged, found local/privileged"),
        ({"tags": {"project": "gadget"}}, "expected project widget, found gadget"),
        ({"taskGroupId": "ANOTHER"}, "expected taskGroupId GROUP, found ANOTHER"),
    ],
)
def test_retrigger_refuses_a_task_that_is_not_of_this_push(
    decided: Widget, change: dict[str, object], found: str
) -> None:
    task_id = named(decided, "test-unit-1")
    decided.api.tasks[task_id] = {**decided.api.tasks[task_id], **change}
    made, done = decided.act("retrigger", task_id=task_id, given={})
    assert (done.returncode, made) == (1, {})
    assert f"task {task_id}: {found}" in done.stdout


def test_add_tasks_creates_what_the_push_left_out(decided: Widget) -> None:
    made, done = decided.act("add-tasks", given={"tasks": ["measure-speed"]})
    assert done.returncode == 0, done.stdout
    assert [task["metadata"]["name"] for task in made.values()] == ["measure-speed"]


def test_add_tasks_refuses_a_part_of_a_release(decided: Widget) -> None:
    made, done = decided.act("add-tasks", given={"tasks": ["promote-release"]})
    assert (done.returncode, made) == (1, {})
    assert "promote-release is part of a release: only release-promotion creates it" in done.stdout


def test_add_tasks_names_the_labels_that_exist(decided: Widget) -> None:
    made, done = decided.act("add-tasks", given={"tasks": ["measure-sped"]})
    assert (done.returncode, made) == (1, {})
    assert "no task 'measure-sped' in this push's graph; there are build-dist, measure-speed" in done.stdout


@dataclass(frozen=True)
class Earlier:
    """An earlier push: its decision task left the same graph, and the group's tasks."""

    number: int
    revision: str
    group: str


def earlier(widget: Widget, number: int, *, ran: str | None = None) -> Earlier:
    """Let an earlier push have happened; `ran` is a label that its group has already."""
    push = Earlier(number, f"{number:040x}", f"GROUP-{number}")
    widget.api.pushes.append({"id": push.number, "revision": push.revision, "branch": "main"})
    widget.api.index[f"demo.v2.widget.revision.{push.revision}.taskgraph.decision"] = push.group
    for (task_id, name), content in list(widget.api.artifacts.items()):
        if task_id == widget.group:
            changed = content.replace(widget.revision.encode(), push.revision.encode())
            widget.api.artifacts[push.group, name] = changed
    if ran:
        widget.api.tasks[f"RAN-{number}"] = {"taskGroupId": push.group, "metadata": {"name": ran}}
    return push


def add_measurement(widget: Widget) -> str:
    made, done = widget.act("add-tasks", given={"tasks": ["measure-speed"]})
    assert done.returncode == 0, done.stdout
    [task_id] = made
    return task_id


def test_backfill_runs_the_task_on_earlier_pushes_at_their_revisions(widget: Widget) -> None:
    widget.decide(number=9)
    older, newer = earlier(widget, 7), earlier(widget, 8)
    made, done = widget.act("backfill", task_id=add_measurement(widget), given={"depth": 2})
    assert done.returncode == 0, done.stdout
    found = {task["taskGroupId"]: task for task in made.values()}
    assert sorted(found) == [older.group, newer.group]
    for push in (older, newer):
        assert found[push.group]["metadata"]["name"] == "measure-speed"
        assert found[push.group]["payload"]["inputs"][0]["git"]["revision"] == push.revision


def test_backfill_goes_back_as_far_as_asked_and_leaves_out_where_the_task_ran(widget: Widget) -> None:
    widget.decide(number=9)
    earlier(widget, 6)
    wanted = earlier(widget, 7)
    earlier(widget, 8, ran="measure-speed")
    made, done = widget.act("backfill", task_id=add_measurement(widget), given={"depth": 2})
    assert done.returncode == 0, done.stdout
    assert [task["taskGroupId"] for task in made.values()] == [wanted.group]
    assert "push 8: measure-speed is there already" in done.stdout


def test_backfill_leaves_this_pushs_own_map_of_labels_alone(widget: Widget) -> None:
    widget.decide(number=9)
    earlier(widget, 8)
    measurement = add_measurement(widget)
    _, done = widget.act("backfill", task_id=measurement, given={"depth": 1})
    assert done.returncode == 0, done.stdout
    assert (widget.repo / "artifacts/label-to-taskid.json").read_text() == "{}\n"


def complete(widget: Widget) -> None:
    widget.api.states = dict.fromkeys(widget.api.tasks, "completed")


def test_release_promotion_creates_the_task_with_the_privilege(decided: Widget) -> None:
    complete(decided)
    given = {"version": "1.2.0", "channel": "beta"}
    made, done = decided.act("release-promotion", given=given, permission="release-promotion")
    assert done.returncode == 0, done.stdout
    [task] = made.values()
    assert task["scopes"] == ["secrets:get:project/widget/release", "pushes:get-source:widget"]
    assert task["payload"]["env"]["RELEASE_VERSION"] == "1.2.0"
    assert task["payload"]["env"]["RELEASE_CHANNEL"] == "beta"
    assert task["payload"]["features"] == {"taskclusterProxy": True}
    upstream = {
        "ACTION",
        decided.group,
        *(named(decided, label) for label in ("build-dist", "test-unit-1", "test-unit-2")),
    }
    assert set(task["dependencies"]) == upstream


def test_release_promotion_refuses_another_version(decided: Widget) -> None:
    complete(decided)
    given = {"version": "1.3.0", "channel": "beta"}
    made, done = decided.act("release-promotion", given=given, permission="release-promotion")
    assert (done.returncode, made) == (1, {})
    assert "expected 1.2.0 as in version.txt, got 1.3.0" in done.stdout


def test_release_promotion_waits_for_every_test(decided: Widget) -> None:
    complete(decided)
    failed = named(decided, "test-unit-2")
    decided.api.states[failed] = "failed"
    given = {"version": "1.2.0", "channel": "beta"}
    made, done = decided.act("release-promotion", given=given, permission="release-promotion")
    assert (done.returncode, made) == (1, {})
    assert f"test-unit-2 ({failed}): expected completed, found failed" in done.stdout


def test_release_promotion_does_not_run_with_the_scopes_of_a_generic_action(decided: Widget) -> None:
    complete(decided)
    given = {"version": "1.2.0", "channel": "beta"}
    made, done = decided.act("release-promotion", given=given, permission="generic")
    assert (done.returncode, made) == (1, {})
    assert f"Expected task scope {ROLE}:action:release-promotion" in done.stdout


def test_an_action_that_creates_nothing_leaves_an_empty_map_for_later_actions(decided: Widget) -> None:
    decided.act("add-tasks", given={"tasks": ["no such"]})
    assert (decided.repo / "artifacts/label-to-taskid.json").read_text() == "{}\n"


def test_a12_a_test_task_is_a_test_with_another_command_and_no_scopes(decided: Widget) -> None:
    given = {"command": ["python3", "-c", "print('$(id)')"]}
    made, done = decided.act("create-test-task", task_id=named(decided, "test-unit-1"), given=given)
    assert done.returncode == 0, done.stdout
    [task] = made.values()
    original = decided.api.tasks[named(decided, "test-unit-1")]
    assert task["payload"]["command"] == [given["command"]]
    assert (task["scopes"], task["routes"]) == ([], [])
    assert task["metadata"]["name"] == "test-unit-1 (a command of widget's people)"
    assert task["payload"]["inputs"] == original["payload"]["inputs"]
    assert (
        task["taskQueueId" if "taskQueueId" in task else "workerType"]
        == original["taskQueueId" if "taskQueueId" in original else "workerType"]
    )


def test_a13_a_test_task_is_made_of_an_ordinary_test_only(decided: Widget) -> None:
    target = named(decided, "test-unit-1")
    decided.api.tasks[target]["workerType"] = "privileged"
    made, done = decided.act("create-test-task", task_id=target, given={"command": ["true"]})
    assert done.returncode != 0
    assert "expected queue local/unprivileged, found local/privileged" in done.stdout
    assert made == {}


def test_a12_purge_caches_asks_for_the_caches_that_the_task_names(decided: Widget) -> None:
    target = named(decided, "test-unit-1")
    decided.api.tasks[target]["payload"]["caches"] = [
        {"name": "widget-pip", "mount": "/build/a"},
        {"name": "widget-objects", "mount": "/build/b"},
    ]
    made, done = decided.act("purge-caches", task_id=target)
    assert (done.returncode, made) == (0, {}), done.stdout
    assert decided.api.purged == [
        ("local/unprivileged", "widget-objects"),
        ("local/unprivileged", "widget-pip"),
    ]


def test_a13_purge_caches_refuses_a_task_of_another_queue_and_one_without_caches(decided: Widget) -> None:
    target = named(decided, "test-unit-1")
    _, done = decided.act("purge-caches", task_id=target)
    assert f"task {target}: it names no caches" in done.stdout
    decided.api.tasks[target]["payload"]["caches"] = [{"name": "widget-pip", "mount": "/build/a"}]
    decided.api.tasks[target]["workerType"] = "privileged"
    _, done = decided.act("purge-caches", task_id=target)
    assert "expected queue local/unprivileged, found local/privileged" in done.stdout
    assert decided.api.purged == []


def with_decision(widget: Widget) -> None:
    """Let the decision task itself be readable, as it is in reality."""
    widget.api.tasks[widget.group] = {
        "schedulerId": "demo-level-3",
        "taskGroupId": widget.group,
        "provisionerId": "local",
        "workerType": "unprivileged",
        "tags": {"project": "widget", "kind": "decision-task"},
        "metadata": {"name": "Decision Task"},
        "payload": {},
    }


def test_a12_retrigger_decision_has_the_push_decided_again_by_its_record(decided: Widget) -> None:
    with_decision(decided)
    made, done = decided.act("retrigger-decision", task_id=decided.group)
    assert (done.returncode, made) == (0, {}), done.stdout
    assert decided.api.decided_again == [1]


def test_a13_retrigger_decision_refuses_a_task_that_is_no_decision(decided: Widget) -> None:
    with_decision(decided)
    target = named(decided, "test-unit-1")
    made, done = decided.act("retrigger-decision", task_id=target)
    assert (done.returncode != 0, made) == (True, {})
    assert f"task {target}: expected kind decision-task, found test" in done.stdout
    assert decided.api.decided_again == []


def test_a12_a_loaner_is_the_task_with_a_shell_and_without_scopes_that_it_could_use(decided: Widget) -> None:
    target = named(decided, "test-unit-1")
    made, done = decided.act(
        "create-loaner", task_id=target, given={"minutes": 5}, permission="create-loaner"
    )
    assert done.returncode == 0, done.stdout
    [task] = made.values()
    original = decided.api.tasks[target]
    assert task["payload"]["features"] == {"shell": True}
    assert task["payload"]["maxRunTime"] == 300
    assert task["payload"]["inputs"] == original["payload"]["inputs"]
    assert task["payload"]["env"] == original["payload"]["env"]
    assert (task["scopes"], task["routes"]) == (["pushes:get-source:widget"], [])
    assert "artifacts" not in task["payload"]
    assert len(task["payload"]["command"]) == 1


def test_a13_a_loaner_has_a_permission_of_its_own_and_is_of_ordinary_tasks_only(decided: Widget) -> None:
    target = named(decided, "test-unit-1")
    made, done = decided.act("create-loaner", task_id=target, given={})
    assert (done.returncode != 0, made) == (True, {})
    assert f"Expected task scope {ROLE}:action:create-loaner" in done.stdout
    decided.api.tasks[target]["workerType"] = "privileged"
    made, done = decided.act("create-loaner", task_id=target, given={}, permission="create-loaner")
    assert "expected queue local/unprivileged, found local/privileged" in done.stdout
    assert made == {}
