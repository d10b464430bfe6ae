"""Names, policy and definition of the hooks that actions run by."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import jsonschema_rs
import pytest

from liftlock.domain.actions.hook_definition import action_hook
from liftlock.domain.actions.naming import ActionHookName, is_managed, is_permission, parse_name, short_of
from liftlock.domain.actions.policy import parse_policy
from liftlock.domain.templates.template import compile_template
from liftlock.errors import InputInvalidError

DIGEST = "0123456789" + "c" * 54
NAME = ActionHookName("demo", 3, "release-promotion", short_of(DIGEST))
GROUP = "fN1SbArXTPSVFNUvaOlinQ"


def _payload() -> dict[str, Any]:
    return {
        "decision": {
            "action": {
                "name": "n",
                "title": "t",
                "description": "d",
                "taskGroupId": GROUP,
                "cb_name": "cb",
                "symbol": "s",
            },
            "repository": {
                "url": "https://github.com/liftlock-demo/widget",
                "project": "widget",
                "level": "3",
                "base_url": "https://github.com/liftlock-demo/widget",
            },
            "push": {
                "owner": "a@b",
                "pushlog_id": "7",
                "revision": "a" * 40,
                "base_revision": "0" * 40,
                "branch": "main",
            },
        },
        "user": {"input": {"x": 1}, "taskId": None, "taskGroupId": GROUP},
    }


def test_a_name_is_read_back_as_it_was_written() -> None:
    assert (NAME.group_id, NAME.hook_id) == ("project-demo", "in-tree-action-3-release-promotion/0123456789")
    assert parse_name(NAME.group_id, NAME.hook_id) == NAME
    assert NAME.scope == "in-tree:hook-action:project-demo/in-tree-action-3-release-promotion/0123456789"


@pytest.mark.parametrize(
    ("group", "hook"),
    [
        ("demo", "in-tree-action-3-generic/0123456789"),
        ("project-demo", "in-tree-action-4-generic/0123456789"),
        ("project-demo", "in-tree-action-3-generic/012345678"),
        ("project-demo", "in-tree-action-3-generic/0123456789a"),
        ("project-demo", "in-tree-action-3-generic/012345678G"),
        ("project-demo", "in-tree-action-3-a/b/0123456789"),
        ("project-demo", "in-tree-pr-action-3-generic/0123456789"),
        ("project-", "in-tree-action-3-generic/0123456789"),
        ("project-demo", "in-tree-action-3-generic/0123456789\n"),
    ],
)
def test_names_that_liftlock_never_makes_are_none(group: str, hook: str) -> None:
    assert parse_name(group, hook) is None


def test_a_hook_under_such_a_name_is_managed_whoever_made_it_and_others_are_not() -> None:
    assert is_managed("project-demo", "in-tree-action-3-generic/made-by-hand")
    assert is_managed("project-demo", "in-tree-pr-action-1-generic/0123456789")
    assert not is_managed("project-demo", "nightly")
    assert not is_managed("garbage", "in-tree-action-3-generic/0123456789")


def test_a_permission_has_no_slash_so_that_a_grant_for_one_gives_no_other() -> None:
    assert is_permission("release-promotion")
    assert not is_permission("release/promotion")
    assert not is_permission("")


def test_without_a_policy_only_generic_content_is_admitted_by_itself() -> None:
    policy = parse_policy({})
    assert policy.permissions("demo", 3) == ("generic",)
    assert policy.self_admits("demo", 3, "generic")
    assert not policy.self_admits("demo", 3, "release-promotion")


def test_a_policy_names_permissions_levels_and_input_schemas() -> None:
    policy = parse_policy(
        {
            "trust-domain": {
                "demo": {
                    "levels": [3],
                    "permissions": ["generic", "release-promotion"],
                    "input-schema": {"release-promotion": {"type": "object"}},
                }
            }
        }
    )
    assert policy.permissions("demo", 3) == ("generic", "release-promotion")
    assert policy.permissions("demo", 1) == ()
    assert not policy.self_admits("demo", 1, "generic")
    assert not policy.self_admits("demo", 3, "release-promotion")
    assert policy.input_schema("demo", "release-promotion") == {"type": "object"}
    assert policy.input_schema("demo", "generic") is None


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        ({"levels": [4]}, r"trust-domain.demo.levels: expected some of 1, 2, 3"),
        ({"permissions": ["a/b"]}, r"permissions: expected names"),
        (
            {"self-admitted": ["release-promotion"]},
            r"self-admitted: 'release-promotion' is not one of its permissions",
        ),
        ({"input-schema": {"x": {}}}, r"input-schema: 'x' is not one of its permissions"),
        ({"selfadmitted": []}, r"unknown field `selfadmitted`"),
    ],
)
def test_a_policy_that_makes_no_sense_names_the_key(domain: dict[str, Any], message: str) -> None:
    with pytest.raises(InputInvalidError, match=message):
        parse_policy({"trust-domain": {"demo": domain}})


def test_a_person_is_recognised_by_the_clients_last_part_and_by_the_names_in_the_policy() -> None:
    policy = parse_policy({"person": [{"client": "people/robin", "names": ["Rob@example.org"]}]})
    assert {"robin", "rob"} <= policy.names_of("people/robin")
    assert "sam" in policy.names_of("login/ad|Example|Sam@example.org")
    assert "rob" not in policy.names_of("people/sam")


def test_the_payload_that_taskgraph_sends_fits_the_trigger_schema() -> None:
    hook = action_hook(NAME, {}, DIGEST, input_schema=None)
    jsonschema_rs.validate(hook["triggerSchema"], _payload())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("decision.extra", 1),
        ("user.extra", 1),
        ("decision.action.taskGroupId", "not a slugid"),
        ("decision.action.cb_name", "a b"),
        ("decision.repository.url", "https://github.com/a/b:action:x"),
        ("decision.repository.level", "4"),
        ("decision.push.owner", "a'b"),
        ("decision.push.revision", "main"),
        ("decision.push.branch", "a;b"),
        ("user.taskId", 1),
    ],
)
def test_the_trigger_schema_is_strict(path: str, value: Any) -> None:
    payload = _payload()
    *parents, last = path.split(".")
    place: Any = payload
    for part in parents:
        place = place[part]
    place[last] = value
    schema = action_hook(NAME, {}, DIGEST, input_schema=None)["triggerSchema"]
    assert not jsonschema_rs.is_valid(schema, payload)


def test_configuration_may_limit_the_users_input() -> None:
    schema = action_hook(NAME, {}, DIGEST, input_schema={"type": "object", "required": ["version"]})[
        "triggerSchema"
    ]
    payload = _payload()
    assert not jsonschema_rs.is_valid(schema, payload)
    payload["user"]["input"] = {"version": "1"}
    assert jsonschema_rs.is_valid(schema, payload)


def test_the_template_gives_the_files_task_what_its_author_expects() -> None:
    task = {
        "for": "${tasks_for}",
        "scope": "${action.repo_scope}",
        "perm": "${action.action_perm}",
        "cb": "${action.cb_name}",
        "rev": "${push.revision}",
        "own": "${ownTaskId}",
        "input": {"$eval": "input"},
        "taskId": {"$eval": "taskId"},
        "group": "${taskGroupId}",
        "parameters": {"$eval": "parameters"},
        "project": "${repository.project}",
    }
    hook = action_hook(NAME, task, DIGEST, input_schema=None)
    context = {
        "payload": _payload(),
        "taskId": "ownTaskIdOfTheFire",
        "firedBy": "triggerHook",
        "clientId": "c",
    }
    rendered = compile_template(hook["task"]).render(context, now=datetime(2026, 1, 1, tzinfo=UTC))
    assert rendered == {
        "for": "action",
        "scope": "assume:repo:github.com/liftlock-demo/widget:action:release-promotion",
        "perm": "release-promotion",
        "cb": "cb",
        "rev": "a" * 40,
        "own": "ownTaskIdOfTheFire",
        "input": {"x": 1},
        "taskId": None,
        "group": GROUP,
        "parameters": {},
        "project": "widget",
    }
