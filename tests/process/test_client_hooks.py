"""The official client's hooks methods against a control plane over real HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema_rs
import pytest
import requests
import taskcluster
from taskcluster.exceptions import TaskclusterAuthFailure, TaskclusterRestFailure

from control_plane_server import ROOT, Served
from hook_builders import GROUP, HOOK, NAME, ROLE, ROLE_SCOPES, hook_body
from liftlock.cli.main import run
from liftlock.web.validation import SCHEMAS
from task_builders import task_id

pytestmark = pytest.mark.process


@pytest.fixture
def root(served: Served) -> taskcluster.Hooks:
    return taskcluster.Hooks(served.options)


@pytest.fixture
def queue(served: Served) -> taskcluster.Queue:
    return taskcluster.Queue(served.options)


@pytest.fixture
def alice(served: Served, root: taskcluster.Hooks) -> taskcluster.Hooks:
    """May trigger the one hook, which exists; its role has what its task needs."""
    auth = taskcluster.Auth(served.options)
    auth.createRole(ROLE, {"description": "", "scopes": list(ROLE_SCOPES)})
    made = auth.createClient(
        "people/alice",
        {"description": "", "expires": "2036-01-01T00:00:00.000Z", "scopes": [f"hooks:trigger-hook:{NAME}"]},
    )
    root.createHook(GROUP, HOOK, hook_body())
    credentials = {"clientId": "people/alice", "accessToken": made["accessToken"]}
    return taskcluster.Hooks({"rootUrl": served.root_url, "credentials": credentials, "maxRetries": 0})


def check(name: str, value: Any) -> Any:
    """Return the answer, which fits the schema that we publish for it."""
    resources = [(f"liftlock:{each}", schema) for each, schema in SCHEMAS.items()]
    registry = jsonschema_rs.Registry(resources, draft=jsonschema_rs.Draft7)
    jsonschema_rs.Draft7Validator(
        {"$ref": f"liftlock:hooks/{name}"}, registry=registry, offline=True, validate_formats=True
    ).validate(value)
    return value


def problem_of(call: Callable[[], Any]) -> tuple[int, str, str]:
    with pytest.raises((TaskclusterRestFailure, TaskclusterAuthFailure)) as caught:
        call()
    body = caught.value.body
    return caught.value.status_code, body["code"], body["message"]


def answer_of(call: Callable[[], Any]) -> tuple[int, str]:
    try:
        call()
    except (TaskclusterRestFailure, TaskclusterAuthFailure) as error:
        return error.status_code, error.body["message"]
    return 200, ""


def test_every_method_of_the_official_client_has_a_route(root: taskcluster.Hooks) -> None:
    for name, entry in taskcluster.Hooks.funcinfo.items():
        arguments: list[Any] = ["none" for _ in entry["args"]]
        if "input" in entry:
            arguments.append({})
        status, message = answer_of(lambda name=name, arguments=arguments: getattr(root, name)(*arguments))
        assert status < 500, name
        assert "no such route" not in message, name
        assert "this path answers" not in message, name


def test_a_hook_is_created_listed_changed_and_deleted(root: taskcluster.Hooks) -> None:
    made = check("hook-definition", root.createHook(GROUP, HOOK, hook_body()))
    assert made == hook_body() | {"hookGroupId": GROUP, "hookId": HOOK}
    assert root.hook(GROUP, HOOK) == made
    assert check("list-hook-groups-response", root.listHookGroups()) == {"groups": [GROUP]}
    assert check("list-hooks-response", root.listHooks(GROUP)) == {"hooks": [made]}
    changed = root.updateHook(GROUP, HOOK, hook_body(schedule=["0 0 0 * * *"]))
    assert changed["schedule"] == ["0 0 0 * * *"]
    assert "nextScheduledDate" in check("hook-status", root.getHookStatus(GROUP, HOOK))
    root.removeHook(GROUP, HOOK)
    assert problem_of(lambda: root.hook(GROUP, HOOK))[:2] == (404, "ResourceNotFound")


def test_what_the_server_answers_can_be_sent_back(root: taskcluster.Hooks) -> None:
    made = root.createHook(GROUP, HOOK, hook_body())
    assert root.updateHook(GROUP, HOOK, root.hook(GROUP, HOOK)) == made


def test_a_trigger_answers_with_the_tasks_id(alice: taskcluster.Hooks, queue: taskcluster.Queue) -> None:
    answer = check("trigger-hook-response", alice.triggerHook(GROUP, HOOK, {"word": "hi"}))
    assert answer["status"]["taskId"] == answer["taskId"]
    task = queue.task(answer["taskId"])
    assert task["metadata"]["name"] == "built by triggerHook"
    assert task["scopes"] == ["secrets:get:demo"]


def test_the_payload_may_choose_the_tasks_id(alice: taskcluster.Hooks) -> None:
    assert alice.triggerHook(GROUP, HOOK, {"taskId": task_id(5)})["taskId"] == task_id(5)
    assert alice.triggerHook(GROUP, HOOK, {"taskId": task_id(5)})["taskId"] != task_id(5)


def test_fires_are_listed_and_paged(alice: taskcluster.Hooks, root: taskcluster.Hooks) -> None:
    assert check("hook-status", root.getHookStatus(GROUP, HOOK)) == {"lastFire": {"result": "no-fire"}}
    tasks = [alice.triggerHook(GROUP, HOOK, {})["taskId"] for _ in range(3)]
    problem_of(lambda: alice.triggerHook(GROUP, HOOK, {"wrong": 1}))
    first = check("list-last-fires-response", root.listLastFires(GROUP, HOOK, query={"limit": "3"}))
    token = first["continuationToken"]
    rest = check(
        "list-last-fires-response",
        root.listLastFires(GROUP, HOOK, query={"limit": "3", "continuationToken": token}),
    )
    fires = first["lastFires"] + rest["lastFires"]
    assert [fire["result"] for fire in fires] == ["error", "success", "success", "success"]
    assert [fire["taskId"] for fire in fires[1:]] == tasks[::-1]
    assert {fire["actor"] for fire in fires} == {"people/alice"}
    assert "violates additionalProperties" in fires[0]["error"]
    assert check("hook-status", root.getHookStatus(GROUP, HOOK))["lastFire"]["result"] == "error"


def test_a_token_triggers_without_credentials(
    served: Served, alice: taskcluster.Hooks, root: taskcluster.Hooks
) -> None:
    assert alice is not None
    anonymous = taskcluster.Hooks({"rootUrl": served.root_url, "maxRetries": 0})
    token = check("trigger-token-response", root.getTriggerToken(GROUP, HOOK))["token"]
    assert "taskId" in anonymous.triggerHookWithToken(GROUP, HOOK, token, {})
    assert problem_of(lambda: anonymous.triggerHookWithToken(GROUP, HOOK, token[:-1] + "x", {}))[0] == 401
    fresh = root.resetTriggerToken(GROUP, HOOK)["token"]
    assert problem_of(lambda: anonymous.triggerHookWithToken(GROUP, HOOK, token, {}))[0] == 401
    assert "taskId" in anonymous.triggerHookWithToken(GROUP, HOOK, fresh, {})


def test_errors_have_their_status_and_say_what_was_expected(
    alice: taskcluster.Hooks, root: taskcluster.Hooks
) -> None:
    status, code, message = problem_of(lambda: alice.triggerHook(GROUP, HOOK, {"word": 5}))
    assert (status, code) == (400, "InputValidationError")
    assert 'payload.word: 5 is not of type "string"' in message
    status, code, message = problem_of(lambda: alice.triggerHook(GROUP, "other", {}))
    assert (status, code) == (403, "InsufficientScopes")
    assert f"hooks:trigger-hook:{GROUP}/other" in message
    for changes, expected in (
        ({"task": {"a": {"$eval": "("}}}, "TemplateError"),
        ({"triggerSchema": {"typ": 1}}, "InputError"),
        ({"schedule": ["* * * * *"]}, "InputError"),
        ({"metadata": {}}, "InputValidationError"),
    ):
        body = hook_body(**changes)
        assert problem_of(lambda body=body: root.createHook(GROUP, "new", body))[:2] == (400, expected)
    assert problem_of(lambda: root.createHook(GROUP, HOOK, hook_body(bindings=[], schedule=["0 0 0 * * *"])))[
        :2
    ] == (
        409,
        "RequestConflict",
    )


def test_a_deeply_nested_body_is_a_bad_request(served: Served, root: taskcluster.Hooks) -> None:
    root.createHook(GROUP, HOOK, hook_body(triggerSchema=True))
    token = root.getTriggerToken(GROUP, HOOK)["token"]
    address = f"{served.root_url}/api/hooks/v1/hooks/{GROUP}/{HOOK.replace('/', '%2F')}/trigger/{token}"
    for depth in (150, 900, 100_000):
        answer = requests.post(address, data='{"a":' * depth + "1" + "}" * depth, timeout=20)
        assert answer.status_code == 400, depth


def test_a_schedule_fires_by_itself(alice: taskcluster.Hooks, root: taskcluster.Hooks) -> None:
    assert alice is not None
    root.updateHook(GROUP, HOOK, hook_body(schedule=["* * * * * *"]))
    deadline = datetime.now(UTC) + timedelta(seconds=30)
    while root.getHookStatus(GROUP, HOOK)["lastFire"]["result"] == "no-fire":
        assert datetime.now(UTC) < deadline, "the scheduler did not fire"
        time.sleep(0.1)
    fire = root.listLastFires(GROUP, HOOK)["lastFires"][-1]
    assert (fire["firedBy"], fire["actor"], fire["result"]) == ("schedule", "hooks/schedule", "success")


Cli = Callable[..., tuple[int, str]]


@pytest.fixture
def cli(served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs `liftlock hook …` as root; returns exit status and output."""
    monkeypatch.setenv("TASKCLUSTER_ROOT_URL", served.root_url)
    monkeypatch.setenv("TASKCLUSTER_CLIENT_ID", ROOT.client_id)
    monkeypatch.setenv("TASKCLUSTER_ACCESS_TOKEN", ROOT.access_token)

    def invoke(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        return run(["hook", *arguments]), capsys.readouterr().out

    return invoke


def test_simulation_shows_the_task_and_creates_nothing(
    alice: taskcluster.Hooks, root: taskcluster.Hooks, cli: Cli
) -> None:
    assert alice is not None
    status, shown = cli("simulate", NAME, "--payload", '{"word": "hi"}', "--json")
    found = check("simulate-hook-response", json.loads(shown))
    assert status == 0
    assert found["task"]["metadata"]["name"] == "built by triggerHook"
    assert found["missing"] is None
    assert root.listLastFires(GROUP, HOOK)["lastFires"] == []
    status, shown = cli("simulate", NAME, "--payload", '{"word": 5}')
    assert status == 3
    assert "would fail (InputValidationError)" in shown


def test_the_command_line_lists_shows_and_triggers(alice: taskcluster.Hooks, cli: Cli) -> None:
    assert alice is not None
    assert NAME in cli("ls")[1]
    assert json.loads(cli("show", NAME, "--json")[1])["hookId"] == HOOK
    status, created = cli("trigger", NAME, "--payload", '{"word": "hi"}')
    assert status == 0
    lines = cli("fires", NAME)[1].splitlines()
    assert created.strip() in lines[1]
    assert ROOT.client_id in lines[1]
    assert cli("trigger", NAME, "--payload", "{")[0] == 2
    assert cli("trigger", "no-slash")[0] == 2
    assert cli("trigger", f"{GROUP}/none")[0] != 0
