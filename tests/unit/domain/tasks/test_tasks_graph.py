"""A graph that reads what nobody makes, or depends on what is not there, is refused whole."""

from __future__ import annotations

from typing import Any

import pytest

from liftlock.domain.inputs.piping import OUTPUT, Outputs, Pipe, check_made, check_pipes, outputs, pipes_of
from liftlock.domain.tasks.task_graph import MAX_PROBLEMS, MAX_TASKS, check_graph, outside, planned
from liftlock.errors import InputValidationError

THERE, GONE = "Qt3GMzT0Qq2rIcp0oYl9sA", "AAAAAAAAQ2qAAAAAAAAAAA"


def task(
    label: str, *, reads: tuple[str, str] | None = None, makes: dict[str, str] | None = None
) -> dict[str, Any]:
    payload: dict[str, Any] = {} if makes is None else {"outputs": makes}
    if reads is not None:
        payload["inputs"] = [{"name": "x", "task": {"label": reads[0]}, "output": reads[1]}]
    return {"metadata": {"name": label}, "payload": payload}


BUILD = {"task": task("build", makes={"wheel": "public/w"})}


def problems(existing: dict[str, Any] | None = None, **graph: Any) -> list[str]:
    return check_graph(planned(graph), existing or {})


def test_an_output_that_a_dependency_declares_is_fine() -> None:
    test = {"dependencies": {"build": "build"}, "task": task("test", reads=("build", "wheel"))}
    assert problems(build=BUILD, test=test) == []
    assert problems(build=BUILD, test={**test, "dependencies": ["build"]}) == []


def test_an_output_that_no_dependency_declares_is_named_with_what_there_is() -> None:
    test = {"dependencies": {"build": "build"}, "task": task("test", reads=("build", "whl"))}
    assert problems(build=BUILD, test=test) == [
        "test (test): payload.inputs[0].output: 'build' declares no output 'whl'; it declares wheel"
    ]


def test_a_task_reads_from_its_dependencies_only_though_the_graph_has_the_label() -> None:
    assert problems(build=BUILD, test={"task": task("test", reads=("build", "wheel"))}) == [
        "test (test): payload.inputs[0].task.label: no dependency is called 'build'; the task depends on none"
    ]


def test_a_dependency_that_is_neither_in_the_graph_nor_created_is_missing() -> None:
    test = {"dependencies": ["build", THERE, GONE], "task": task("test")}
    assert problems({THERE: task("old")}, build=BUILD, test=test) == [
        f"test (test): the dependency '{GONE}' is neither in the graph nor created"
    ]
    assert outside(planned({"build": BUILD, "test": test})) == [GONE, THERE]


def test_a_task_that_exists_is_read_from_as_one_of_the_graph() -> None:
    test = {"dependencies": [THERE], "task": task("test", reads=("old", "wheel"))}
    assert problems({THERE: task("old", makes={"wheel": "public/w"})}, test=test) == []


def test_a_label_that_two_dependencies_have_names_none() -> None:
    twice = [Outputs("build", {"wheel": "a"}), Outputs("build", {"wheel": "b"})]
    assert check_pipes([Pipe("build", "wheel", "at")], twice) == [
        "at.task.label: 2 dependencies are called 'build'; the task depends on build, build"
    ]


def test_no_more_problems_are_told_than_a_person_reads() -> None:
    graph = {f"t{number}": {"task": task(f"t{number}", reads=("x", "y"))} for number in range(200)}
    assert len(problems(**graph)) == MAX_PROBLEMS


@pytest.mark.parametrize(
    ("graph", "said"),
    [
        ({}, f"tasks: expected an object of 1 to {MAX_TASKS} tasks"),
        ([], f"tasks: expected an object of 1 to {MAX_TASKS} tasks"),
        ({"a": 1}, "tasks.a: expected {dependencies, task}"),
        ({"a": {"task": 1}}, "tasks.a: expected {dependencies, task}"),
        (
            {"a": {"task": {}, "dependencies": [1]}},
            "tasks.a.dependencies: expected an object or a list of the graph's keys",
        ),
        (
            {"a": {"task": {}, "dependencies": "b"}},
            "tasks.a.dependencies: expected an object or a list of the graph's keys",
        ),
    ],
)
def test_what_is_no_graph_is_refused(graph: object, said: str) -> None:
    with pytest.raises(InputValidationError) as caught:
        planned(graph)
    assert caught.value.message == said


@pytest.mark.parametrize(
    "payload", [None, [], {"inputs": 3}, {"inputs": [1]}, {"inputs": [{"task": 1}]}, {"inputs": [{}]}]
)
def test_payloads_of_other_workers_have_no_pipes(payload: object) -> None:
    assert pipes_of(payload) == ()


def test_an_output_is_an_artifact_of_the_task_or_a_file_in_one() -> None:
    made = [("public/a", False), ("public/dir", True)]
    check_made({"one": "public/a", "two": "public/dir/x"}, made, "payload.outputs")
    for artifact in ("public/a/x", "public/dirx", "public/b"):
        with pytest.raises(InputValidationError) as caught:
            check_made({"out": artifact}, made, "payload.outputs")
        assert caught.value.message == (
            "payload.outputs.out: expected an artifact of this task, or a file in one (public/a, public/dir),"
            f" found {artifact!r}"
        )


@pytest.mark.parametrize("name", ["", "-a", "a b", "a" * 65, "ä"])
def test_an_output_has_a_plain_name(name: str) -> None:
    assert OUTPUT.match(name) is None
    with pytest.raises(InputValidationError, match=r"payload\.outputs: expected names of"):
        outputs({name: "public/a"}, "payload.outputs")
