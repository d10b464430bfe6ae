"""actions.json is untrusted: what it offers, to which task, and what running an offer sends."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from liftlock.domain.actions.document import MAX_BYTES, ActionsFile, parse_actions
from liftlock.domain.actions.rendering import Target, default_input, render_payload, render_task
from liftlock.errors import InputInvalidError, MalformedPayloadError, TemplateRefusedError

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GROUP, TASK, OWN = "fN1SbArXTPSVFNUvaOlinQ", "aN1SbArXTPSVFNUvaOlinQ", "bN1SbArXTPSVFNUvaOlinQ"


def _hook(name: str = "retrigger", context: Any = None, **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "title": name.title(),
        "description": "",
        "context": [{}] if context is None else context,
        "kind": "hook",
        "hookGroupId": "g",
        "hookId": "h",
        "hookPayload": {"task": {"$eval": "taskId"}, "group": "${taskGroupId}", "input": {"$eval": "input"}},
        **fields,
    }


def _file(*actions: dict[str, Any], **fields: Any) -> ActionsFile:
    return parse_actions(json.dumps({"version": 1, "variables": {}, "actions": actions, **fields}).encode())


def test_an_action_is_relevant_where_a_tag_set_is_among_the_tasks_tags() -> None:
    file = _file(
        _hook("both", [{"kind": "test", "os": "linux"}, {"kind": "build"}]),
        _hook("every", [{}]),
        _hook("group", []),
    )
    names = lambda tags: [action.name for action in file.relevant(tags)]  # noqa: E731 -- shorter than a function, here
    assert names({"kind": "test", "os": "linux", "x": "y"}) == ["both", "every"]
    assert names({"kind": "test"}) == ["every"]
    assert names({"kind": "build"}) == ["both", "every"]
    assert names({}) == ["every"]
    assert names(None) == ["group"]


def test_in_a_menu_the_first_of_equal_names_wins() -> None:
    file = _file(
        _hook("a", [{"k": "1"}], title="other"), _hook("a", title="first"), _hook("a", title="second")
    )
    assert [action.title for action in file.relevant({})] == ["first"]


def test_a_button_made_for_an_action_must_find_exactly_one() -> None:
    file = _file(_hook("a"), _hook("a"), _hook("b"))
    assert file.only("b", {}).name == "b"
    with pytest.raises(InputInvalidError, match="2 actions are called 'a' for this task"):
        file.only("a", {})
    with pytest.raises(InputInvalidError, match="no action 'c' for this task; there are: a, b"):
        file.only("c", {})
    with pytest.raises(InputInvalidError, match="no action 'a' for the task group; there are: none"):
        file.only("a", None)


def test_kinds_that_we_do_not_know_are_left_out() -> None:
    assert [each.name for each in _file(_hook("a", kind="carrier-pigeon"), _hook("b")).actions] == ["b"]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"version": 2, "actions": []}, "Invalid enum value 2"),
        ({"version": 1}, "missing required field `actions`"),
        ({"version": 1, "actions": [{"kind": "hook"}]}, "missing required field `name`"),
        ({"version": 1, "actions": [_hook(context=[{"k": 1}])]}, "Expected `str`"),
        ({"version": 1, "actions": [_hook(hookId="")]}, "expected hookGroupId and hookId"),
        ({"version": 1, "actions": [_hook(kind="task")]}, "expected task to be an object"),
        ({"version": 1, "actions": [_hook()] * 1001}, "1001 actions, expected at most 1000"),
        ({"version": 1, "actions": [], "variables": []}, "Expected `object`"),
    ],
)
def test_what_is_no_offer_is_refused_with_the_place(document: Any, message: str) -> None:
    with pytest.raises(InputInvalidError, match=f"public/actions.json: .*{message}"):
        parse_actions(json.dumps(document).encode())


def test_bytes_that_are_no_json_or_too_many_are_refused() -> None:
    with pytest.raises(MalformedPayloadError, match=r"public/actions\.json"):
        parse_actions(b"{")
    with pytest.raises(InputInvalidError, match="expected at most"):
        parse_actions(b" " * (MAX_BYTES + 1))
    with pytest.raises(MalformedPayloadError, match="nested too deeply"):
        parse_actions(b"[" * 100_000)


def test_a_hooks_payload_is_rendered_with_the_target_and_the_input() -> None:
    file = _file(_hook(schema={"type": "object"}))
    payload = render_payload(file, file.actions[0], Target(GROUP, TASK), {"times": 2}, now=NOW)
    assert payload == {"task": TASK, "group": GROUP, "input": {"times": 2}}


def test_for_the_group_the_task_is_null_and_without_a_schema_so_is_the_input() -> None:
    file = _file(_hook(context=[]))
    assert render_payload(file, file.actions[0], Target(GROUP), {"x": 1}, now=NOW) == {
        "task": None,
        "group": GROUP,
        "input": None,
    }


def test_the_files_variables_never_replace_what_the_target_is() -> None:
    file = _file(
        _hook(hookPayload={"t": "${taskId}", "v": "${v}"}), variables={"taskId": "forged", "v": "ok"}
    )
    assert render_payload(file, file.actions[0], Target(GROUP, TASK), None, now=NOW) == {"t": TASK, "v": "ok"}


def test_a_task_is_rendered_with_the_definition_it_is_about_and_its_own_id() -> None:
    template = {"own": "${ownTaskId}", "label": "${task.metadata.name}", "group": "${taskGroupId}"}
    file = _file(_hook(kind="task", task=template))
    target = Target(GROUP, TASK, {"metadata": {"name": "build"}})
    assert render_task(file, file.actions[0], target, None, OWN, now=NOW) == {
        "own": OWN,
        "label": "build",
        "group": GROUP,
    }


def test_a_template_that_fails_or_gives_no_object_is_refused() -> None:
    file = _file(_hook("a", hookPayload="text"), _hook("b", hookPayload={"$eval": "task"}))
    with pytest.raises(InputInvalidError, match="renders to str, not an object"):
        render_payload(file, file.actions[0], Target(GROUP), None, now=NOW)
    with pytest.raises(TemplateRefusedError):
        render_payload(file, file.actions[1], Target(GROUP), None, now=NOW)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (None, None),
        ({"default": 3}, 3),
        ({"type": "object", "properties": {"a": {"default": 1}, "b": {}, "c": True}}, {"a": 1}),
        ({"properties": {"a": {"default": []}}}, {"a": []}),
        ({"type": "string"}, None),
        ({"type": "object", "properties": 5}, {}),
    ],
)
def test_an_input_that_is_not_given_starts_with_the_schemas_defaults(schema: Any, expected: Any) -> None:
    assert default_input(schema) == expected
