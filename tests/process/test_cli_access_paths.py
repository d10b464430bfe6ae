"""`liftlock access paths, reach, who, check` against a control plane over real HTTP (A16)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import taskcluster

from control_plane_server import ROOT, Served
from hook_builders import hook_body
from liftlock import web
from liftlock.cli import main
from liftlock.cli.client import Api
from liftlock.cli.exit_codes import Exit
from liftlock.cli.failures import AnsweredError
from liftlock.cli.profiles import Profile

pytestmark = pytest.mark.process
SECRET = "secrets:get:release/key"
SCHEMAS = Path(web.__file__).parent / "schemas" / "auth"


@pytest.fixture
def acting_as(served: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Api]]:
    root = taskcluster.Auth(served.options)
    for role, scopes in {
        "hook-id:generic/bridge": ["hooks:trigger-hook:release/*"],
        "hook-id:release/promote": [SECRET],
    }.items():
        root.createRole(role, {"description": "", "scopes": scopes})
    hooks = taskcluster.Hooks(served.options)
    for name in ("generic/bridge", "release/promote"):
        hooks.createHook(*name.split("/"), hook_body())
    tokens = {ROOT.client_id: ROOT.access_token}
    for client, scopes in {
        "people/robin": ["hooks:trigger-hook:generic/*"],
        "people/eve": [],
        "people/morgan": ["hooks:trigger-hook:release/*"],
    }.items():
        made = root.createClient(
            client, {"description": "", "expires": "2036-01-01T00:00:00Z", "scopes": scopes}
        )
        tokens[client] = made["accessToken"]
    apis: list[Api] = []

    def act(client_id: str) -> Api:
        monkeypatch.setenv("TASKCLUSTER_ROOT_URL", served.root_url)
        monkeypatch.setenv("TASKCLUSTER_CLIENT_ID", client_id)
        monkeypatch.setenv("TASKCLUSTER_ACCESS_TOKEN", tokens[client_id])
        monkeypatch.delenv("TASKCLUSTER_CERTIFICATE", raising=False)
        apis.append(Api(Profile(served.root_url, client_id, tokens[client_id])))
        return apis[-1]

    yield act
    for api in apis:
        api.close()


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str]]:
    status = main.run(["access", *arguments])
    return status, capsys.readouterr().out.splitlines()


def run_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    status = main.run(["access", *arguments, "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_a16_the_operator_sees_the_path_step_by_step(
    acting_as: Callable[[str], Api], capsys: pytest.CaptureFixture[str]
) -> None:
    acting_as(ROOT.client_id)
    assert run(capsys, "paths", "--from", "people/robin", "--to", SECRET) == (
        Exit.OK,
        [
            f"people/robin: reaches {SECRET} in 2 steps",
            "  1. people/robin triggers the hook generic/bridge",
            "     this needs hooks:trigger-hook:generic/bridge",
            "     and it holds hooks:trigger-hook:generic/*",
            "  2. the task of the hook generic/bridge triggers the hook release/promote",
            "     this needs hooks:trigger-hook:release/promote",
            "     and it holds hooks:trigger-hook:release/*",
            f"  the task of the hook release/promote holds {SECRET}",
        ],
    )
    assert run(capsys, "paths", "--from", "people/eve", "--to", SECRET) == (
        Exit.DENIED,
        [f"people/eve: no path leads to {SECRET}"],
    )
    assert run(capsys, "paths", "--to", SECRET) == (
        Exit.OK,
        ["static/liftlock/root: holds * without any step"],
    )
    status, answer = run_json(capsys, "paths", "--from", "role:hook-id:generic/bridge", "--to", "secrets:*")
    assert status == Exit.OK
    assert answer["from"] == {"roleId": "hook-id:generic/bridge"}
    assert answer["path"]["given"] == SECRET
    assert [step["name"] for step in answer["path"]["steps"]] == ["release/promote"]


def test_a16_the_operator_sees_who_and_what_is_reached(
    acting_as: Callable[[str], Api], capsys: pytest.CaptureFixture[str]
) -> None:
    acting_as(ROOT.client_id)
    status, lines = run(capsys, "who", SECRET)
    assert status == Exit.OK
    assert lines == [
        "client static/liftlock/issuer  holds it",
        "client static/liftlock/root  holds it",
        "client people/morgan  1 step: hook release/promote",
        "client people/robin  2 steps: hook generic/bridge > hook release/promote",
        "role hook-id:release/promote  holds it",
        "role hook-id:generic/bridge  1 step: hook release/promote",
    ]
    status, lines = run(capsys, "reach", "people/morgan")
    assert status == Exit.OK
    assert lines[:2] == [
        "people/morgan: reaches 1 further place",
        "  1 step: hook release/promote (by trigger)",
    ]
    assert f"    {SECRET}" in lines
    status, answer = run_json(
        capsys, "reach", "scope:host:push", "--push", "host:push=hook-id:generic/bridge"
    )
    assert status == Exit.OK
    assert [place["steps"][-1]["name"] for place in answer["places"]] == [
        "hook-id:generic/bridge",
        "release/promote",
    ]
    assert SECRET in answer["scopes"]


def test_a_developer_asks_for_himself_and_not_for_others(
    acting_as: Callable[[str], Api], capsys: pytest.CaptureFixture[str]
) -> None:
    acting_as("people/robin")
    status, lines = run(capsys, "paths", "--to", SECRET)
    assert status == Exit.OK
    assert lines[1] == "  1. people/robin triggers the hook generic/bridge"
    assert lines[-1] == "  the task of the hook (a hook you may not see) holds (a scope you may not see)"
    status, lines = run(capsys, "reach")
    assert status == Exit.OK
    assert lines[-1] == "  and those of 2 places, which you may not see"
    assert SECRET not in "\n".join(lines)
    for arguments in (["who", SECRET], ["reach", "people/eve"], ["paths", "--from", "role:x", "--to", "y"]):
        assert main.run(["access", *arguments]) == Exit.DENIED
        assert "auth:list-clients" in capsys.readouterr().err
    acting_as("people/eve")
    assert run(capsys, "paths", "--to", SECRET)[0] == Exit.DENIED


def test_a16_a_file_of_what_must_never_be_reached_is_checked(
    acting_as: Callable[[str], Api], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    acting_as(ROOT.client_id)
    file = tmp_path / "never.yml"
    file.write_text(
        f"never:\n- {{from: people/*, to: '{SECRET}', except: [people/morgan, people/robin]}}\n"
        f"- {{from: people/eve, to: '{SECRET}'}}\n"
    )
    assert run(capsys, "check", str(file)) == (
        Exit.OK,
        [f"ok   never from people/* to {SECRET}", f"ok   never from people/eve to {SECRET}"],
    )
    file.write_text(f"never:\n- {{from: people/*, to: '{SECRET}', except: [people/morgan]}}\n")
    status, lines = run(capsys, "check", str(file))
    assert status == Exit.VERIFICATION_FAILED
    assert lines[:3] == [
        f"FAIL never from people/* to {SECRET}",
        f"     people/robin: reaches {SECRET} in 2 steps",
        "       1. people/robin triggers the hook generic/bridge",
    ]
    status, answer = run_json(capsys, "check", str(file))
    assert status == Exit.VERIFICATION_FAILED
    assert [found["who"] for found in answer["violations"]] == ["people/robin"]
    file.write_text("never:\n- {from: people/nobody, to: x}\n")
    assert main.run(["access", "check", str(file)]) == Exit.USAGE
    assert "client people/nobody does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"to": ""},
        {"to": "x" * 2001},
        {"to": "x", "from": {"clientId": "a", "roleId": "b"}},
        {"to": "x", "from": {"scopes": [f"s{number}" for number in range(101)]}},
        {"to": "x", "from": {"clientId": "*"}},
        {"to": "x", "pushes": [{"scope": "s", "roleId": f"r{number}"} for number in range(101)]},
        {"to": "x", "form": {}},
    ],
)
def test_requests_are_bounded(acting_as: Callable[[str], Api], payload: dict[str, Any]) -> None:
    api = acting_as(ROOT.client_id)
    with pytest.raises(AnsweredError) as refused:
        api.post("auth", "escalation", "paths", payload=payload)
    assert (refused.value.status, refused.value.answered_code) == (400, "InputValidationError")


def test_answers_fit_the_schemas_that_are_published_for_them(acting_as: Callable[[str], Api]) -> None:
    robin, root = acting_as("people/robin"), acting_as(ROOT.client_id)
    asked = [
        (root, "paths", {"to": SECRET, "from": {"clientId": "people/robin"}}, True),
        (root, "paths", {"to": SECRET, "from": {"scopes": ["x"]}}, False),
        (robin, "paths", {"to": SECRET}, True),
        (robin, "reach", {}, True),
        (root, "reach", {"from": {"roleId": "hook-id:generic/bridge"}}, True),
        (root, "who", {"to": SECRET}, True),
    ]
    for api, name, payload, found in asked:
        answer = api.post("auth", "escalation", name, payload=payload)
        schema = json.loads((SCHEMAS / f"escalation-{name}-response.json").read_text())
        jsonschema_rs.Draft7Validator(schema).validate(answer)
        assert bool(answer.get("path") or answer.get("places") or answer.get("clients")) == found
