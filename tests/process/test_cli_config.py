"""`liftlock config check, plan, apply` against a control plane over real HTTP (E4)."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import taskcluster

from configuration_files import FILES
from control_plane_server import ROOT, Served
from git_source import new_source
from liftlock.cli import config_apply, main
from liftlock.cli.client import Api
from liftlock.cli.exit_codes import Exit
from liftlock.cli.failures import UnreachableError
from liftlock.cli.profiles import Profile
from liftlock.domain.configuration.order import Step

pytestmark = pytest.mark.process
MANAGED = "['Role=repo:*', 'Role=group:*', 'Role=hook-id:*', 'Hook=tools/*', 'Client=people/*', 'Project=*', 'WorkerPool=*', 'ActionPolicy=*', 'Secret=app/*']"
HOOKS = """\
tools/one:
  name: One
  owner: ops@example.org
  scopes: [x]
  triggered-by: [managers]
  task: {payload: {}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration whose projects can be fetched."""
    new_source(tmp_path)
    made = tmp_path / "configuration"
    made.mkdir()
    for name, text in FILES.items():
        (made / name).write_text(
            text.replace("/srv/app", f"{tmp_path}/widget.git").replace("/srv/try", f"{tmp_path}/widget.git")
        )
    (made / "liftlock.yml").write_text(f"version: 1\nname: demo\nmanaged: {MANAGED}\n")
    (made / "hooks.yml").write_text(HOOKS)
    (made / "clients.yml").write_text("people/robin: {groups: [developers]}\n")
    (made / "secrets.yml").write_text("app/key: {from-env: APP_KEY}\n")
    return made


@pytest.fixture
def api(served: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setenv("TASKCLUSTER_ROOT_URL", served.root_url)
    monkeypatch.setenv("TASKCLUSTER_CLIENT_ID", ROOT.client_id)
    monkeypatch.setenv("TASKCLUSTER_ACCESS_TOKEN", ROOT.access_token)
    monkeypatch.delenv("TASKCLUSTER_CERTIFICATE", raising=False)
    monkeypatch.setenv("APP_KEY", '{"key": "value"}')
    made = Api(Profile(served.root_url, ROOT.client_id, ROOT.access_token))
    yield made
    made.close()


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run_config(*arguments: object) -> tuple[int, str]:
        status = main.run(["config", *map(str, arguments)])
        said = capsys.readouterr()
        return status, said.out + said.err

    return run_config


def planned(run: Run, folder: Path, *more: str) -> tuple[int, Any]:
    status, said = run("plan", folder, "--json", *more)
    return status, json.loads(said[: said.rindex("}") + 1])


def test_e4_a_folder_is_checked_planned_applied_and_then_there_is_nothing_to_do(
    api: Api, run: Run, folder: Path, served: Served, tmp_path: Path
) -> None:
    assert run("check", folder)[0] == Exit.OK
    taskcluster.Auth(served.options).createRole("mine", {"description": "", "scopes": ["y"]})
    status, plan = planned(run, folder, "--html", str(tmp_path / "plan.html"))
    assert status == Exit.PLAN_HAS_CHANGES
    assert {change["change"] for change in plan["changes"]} == {"create"}
    assert "Role=group:developers" in (tmp_path / "plan.html").read_text()
    tokens = tmp_path / "tokens.json"
    status, said = run("apply", folder, "--yes", "--expect", plan["digest"], "--new-tokens", tokens)
    assert status == Exit.OK, said
    assert stat.S_IMODE(tokens.stat().st_mode) == 0o600
    robin = Api(Profile(served.root_url, "people/robin", json.loads(tokens.read_text())["people/robin"]))
    assert (
        "hooks:trigger-hook:project-demo/in-tree-action-3-generic/*"
        in robin.get("auth", "scopes", "current")["scopes"]
    )
    robin.close()
    assert taskcluster.Auth(served.options).role("mine")["scopes"] == ["y"]
    assert [each["project"] for each in api.get("pushes", "projects")["projects"]] == ["app", "try"]
    assert taskcluster.Secrets(served.options).get("app/key")["secret"] == {"key": "value"}
    assert planned(run, folder) == (
        0,
        {
            "changes": [],
            "digest": planned(run, folder)[1]["digest"],
            "drifted": 0,
            "unchanged": len(plan["changes"]),
            "widening": 0,
        },
    )
    assert run("apply", folder, "--yes") == (
        Exit.OK,
        f"nothing to do\n0 to create, 0 to change, 0 to delete, {len(plan['changes'])} unchanged; 0 widen, 0 undo what was changed elsewhere\n",
    )
    assert api.get("configuration", "applied", "demo")["version"] == 2


def test_e4_drift_is_seen_and_undone_and_what_the_files_drop_is_deleted(
    api: Api, run: Run, folder: Path, served: Served
) -> None:
    assert run("apply", folder, "--yes")[0] == Exit.OK
    auth = taskcluster.Auth(served.options)
    auth.createRole("group:sneaked", {"description": "", "scopes": ["*"]})
    auth.updateRole("group:managers", {"description": "", "scopes": ["secrets:get:release"]})
    status, plan = planned(run, folder)
    assert status == Exit.PLAN_HAS_CHANGES
    assert [(change["resource"], change["change"], change["drift"]) for change in plan["changes"]] == [
        ("Role=group:managers", "update", True),
        ("Role=group:sneaked", "delete", True),
    ]
    assert plan["changes"][0]["narrows"] == ["secrets:get:release"]
    (folder / "hooks.yml").unlink()
    (folder / "clients.yml").unlink()
    assert run("apply", folder, "--yes")[0] == Exit.OK
    assert planned(run, folder)[0] == Exit.OK
    assert [client["clientId"] for client in auth.listClients()["clients"]] == [
        "static/liftlock/issuer", "static/liftlock/root", "static/liftlock/worker/0",
    ]  # fmt: skip
    assert taskcluster.Hooks(served.options).listHookGroups()["groups"] == []
    monkey = (folder / "secrets.yml").read_text()
    (folder / "secrets.yml").write_text(monkey.replace("APP_KEY", "ANOTHER"))
    assert planned(run, folder)[0] == Exit.OK


def test_e4_an_apply_that_is_stopped_at_any_step_is_seen_and_goes_on(
    api: Api, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    perform = config_apply.Performer.perform
    left = 0

    def fails(performer: config_apply.Performer, steps: tuple[Step, ...]) -> None:
        nonlocal left
        if left == 0:
            raise UnreachableError("the line is cut")
        left -= 1
        perform(performer, steps)

    monkeypatch.setattr(config_apply, "MAX_TOGETHER", 3)
    monkeypatch.setattr(config_apply.Performer, "perform", fails)
    assert run("apply", folder, "--yes")[0] == Exit.FAILED
    status, said = run("apply", folder, "--yes")
    assert status == Exit.USAGE
    assert "an apply that static/liftlock/root began at " in said
    assert "then use --resume" in said
    for count in (1, 3, 5):
        left = count
        assert run("apply", folder, "--yes", "--resume")[0] == Exit.FAILED
    _, plan = planned(run, folder)
    assert plan["drifted"] == 0
    left = 1000
    assert run("apply", folder, "--yes", "--resume")[0] == Exit.OK
    assert planned(run, folder)[0] == Exit.OK
    assert api.get("configuration", "applied", "demo")["target"] is None


def test_e4_another_plan_than_the_one_that_was_looked_at_is_not_applied(
    api: Api, run: Run, folder: Path
) -> None:
    status, said = run("apply", folder, "--yes", "--expect", "0" * 64)
    assert status == Exit.USAGE
    assert "look at it again" in said
    assert api.get("auth", "roles2", "")["roles"] == []


def test_e4_files_that_make_no_sense_or_fail_a_check_change_nothing(api: Api, run: Run, folder: Path) -> None:
    (folder / "groups.yml").write_text("developers: {push-level: [1]}\n")
    status, said = run("check", folder)
    assert status == Exit.USAGE
    assert "groups.yml:1: developers: Object contains unknown field `push-level`" in said
    (folder / "groups.yml").write_text(FILES["groups.yml"])
    (folder / "never.yml").write_text("- {from: 'group:managers', to: 'hooks:trigger-hook:tools/one'}\n")
    status, said = run("check", folder)
    assert status == Exit.VERIFICATION_FAILED
    assert "FAIL what must never be reached is not" in said
    for command in (["plan"], ["apply", "--yes"]):
        status, said = run(command[0], folder, *command[1:])
        assert status == Exit.VERIFICATION_FAILED
        assert "group managers: holds hooks:trigger-hook:tools/one without any step" in said
    assert api.get("auth", "roles2", "")["roles"] == []


def test_e4_two_who_apply_at_once_do_not_both_begin(api: Api) -> None:
    body = {"expected": 0, "digests": {}, "target": {}}
    api.put("configuration", "applied", "demo", payload=body)
    with pytest.raises(Exception, match="somebody else applies it; plan again"):
        api.put("configuration", "applied", "demo", payload=body)


def test_e4_checks_of_the_folders_own_run_beside_the_shipped_ones(run: Run, folder: Path) -> None:
    (folder / "checks").mkdir()
    (folder / "checks" / "test_ours.py").write_text(
        "def test_there_are_few_groups(configuration):\n    assert len(configuration.folder.groups) == 3\n"
    )
    status, said = run("check", folder)
    assert (status, "ok   the folder's own checks" in said) == (Exit.OK, True), said
    (folder / "groups.yml").write_text(FILES["groups.yml"] + "more: {}\n")
    status, said = run("check", folder)
    assert status == Exit.VERIFICATION_FAILED
    assert "FAIL the folder's own checks" in said
    assert "assert 4 == 3" in said


def test_e4_the_example_passes_and_the_shipped_checks_run_as_tests() -> None:
    example = Path(__file__).parents[2] / "examples" / "configuration"
    assert main.run(["config", "check", str(example)]) == Exit.OK
    plugin = ["-p", "liftlock.cli.config_pytest", "--configuration", str(example), "-p", "no:cacheprovider"]
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            *plugin,
            "-c",
            "/dev/null",
            "-v",
            "--pyargs",
            "liftlock.cli.config_checks",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    assert "test_configuration[payloads are bounded] PASSED" in ended.stdout


def test_e4_what_a_server_has_is_exported_to_files_that_make_the_same(
    api: Api, run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "secrets.yml").unlink()
    assert run("apply", folder, "--yes")[0] == Exit.OK
    for command in ("export", "import"):
        status, said = run(command, tmp_path / command, "--name", "again")
        assert status == Exit.OK, said
        assert run(command, tmp_path / command)[0] == Exit.USAGE
    status, plan = planned(run, tmp_path / "export")
    assert (status, plan["changes"]) == (Exit.OK, [])
    assert plan["unchanged"] > 15
    assert not (tmp_path / "import" / "projects.yml").exists()
    assert (tmp_path / "import" / "roles.yml").read_text() == (tmp_path / "export" / "roles.yml").read_text()


def test_a16_two_configurations_are_compared_by_what_they_let_whom_reach(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    after = tmp_path / "after"
    shutil.copytree(folder, after)
    assert main.run(["access", "diff", str(folder), str(after)]) == Exit.OK
    assert capsys.readouterr().out == "nobody reaches more than before\n"
    (after / "hooks.yml").write_text(HOOKS.replace("scopes: [x]", "scopes: ['secrets:get:other']"))
    assert main.run(["access", "diff", str(folder), str(after), "--json"]) == Exit.PLAN_HAS_CHANGES
    [gain] = json.loads(capsys.readouterr().out)
    assert (gain["who"], gain["scopes"]) == ("group managers", ["secrets:get:other"])
    assert "1. group managers triggers the hook tools/one" in gain["path"]


def test_e4_a_grant_that_is_retired_warns_who_uses_it_and_is_listed(
    api: Api, run: Run, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (folder / "grants.yml").open("a") as grants:
        grants.write("- {grant: ['auth:list-roles'], retire: warn, to: [{groups: [managers]}]}\n")
    status, said = run("apply", folder, "--yes")
    assert status == Exit.OK, said
    assert api.get("auth", "retiring")["retiring"] == [
        {"roleId": "group:managers", "scopes": ["auth:list-roles"]}
    ]
    assert planned(run, folder)[0] == Exit.OK
    (folder / "grants.yml").write_text(FILES["grants.yml"])
    assert run("apply", folder, "--yes")[0] == Exit.OK
    assert api.get("auth", "retiring")["retiring"] == []
    assert main.run(["access", "retiring"]) == Exit.OK
    assert capsys.readouterr().out == "nothing is retiring\n"
