"""`liftlock access` against a control plane over real HTTP."""

from __future__ import annotations

import json

import pytest
import requests
import taskcluster

from control_plane_server import Served
from liftlock.cli import main
from liftlock.cli.exit_codes import Exit
from liftlock.domain.scopes.refusal_rules import RULES

pytestmark = pytest.mark.process


@pytest.fixture
def _as_alice(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    root = taskcluster.Auth(served.options)
    root.createRole("dev", {"description": "", "scopes": ["x:*", "auth:list-roles"]})
    root.createRole("release", {"description": "", "scopes": ["ship:*"]})
    made = root.createClient(
        "people/alice", {"description": "", "expires": "2036-01-01T00:00:00Z", "scopes": ["assume:dev"]}
    )
    monkeypatch.setenv("TASKCLUSTER_ROOT_URL", served.root_url)
    monkeypatch.setenv("TASKCLUSTER_CLIENT_ID", "people/alice")
    monkeypatch.setenv("TASKCLUSTER_ACCESS_TOKEN", made["accessToken"])
    monkeypatch.delenv("TASKCLUSTER_CERTIFICATE", raising=False)


@pytest.mark.usefixtures("_as_alice")
def test_a14_whoami_shows_the_client_and_all_its_scopes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["access", "whoami"]) == Exit.OK
    assert capsys.readouterr().out.splitlines() == [
        "people/alice",
        "  assume:anonymous",
        "  assume:dev",
        "  auth:list-roles",
        "  x:*",
    ]
    assert main.run(["access", "whoami", "--json"]) == Exit.OK
    answer = json.loads(capsys.readouterr().out)
    assert answer["scopes"] == ["assume:dev", "assume:anonymous"]


@pytest.mark.usefixtures("_as_alice")
def test_a14_explain_shows_the_chain_of_roles_and_who_could_grant_what_is_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.run(["access", "explain", "x:1"]) == Exit.OK
    assert capsys.readouterr().out.splitlines() == [
        "people/alice: may",
        "  ok      x:1",
        "            assume:dev has role dev, which gives x:*",
    ]
    assert main.run(["access", "explain", "x:1", "ship:now"]) == Exit.DENIED
    assert capsys.readouterr().out.splitlines() == [
        "people/alice: may not",
        "  missing all of",
        "    ok      x:1",
        "              assume:dev has role dev, which gives x:*",
        "    missing ship:now",
        "              role release gives it",
    ]
    assert main.run(["access", "explain", "--any", "x:1", "ship:now"]) == Exit.OK
    assert capsys.readouterr().out.startswith("people/alice: may\n  ok      any of\n")


@pytest.mark.usefixtures("_as_alice")
def test_explaining_for_another_client_needs_the_scope_to_see_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["access", "explain", "x", "--client", "static/liftlock/root"]) == Exit.DENIED
    assert "auth:get-client:static/liftlock/root" in capsys.readouterr().err


@pytest.mark.usefixtures("_as_alice")
def test_root_sees_who_could_grant_it_and_explains_for_anybody(
    served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = served.options["credentials"]
    assert isinstance(options, dict)
    monkeypatch.setenv("TASKCLUSTER_CLIENT_ID", options["clientId"])
    monkeypatch.setenv("TASKCLUSTER_ACCESS_TOKEN", options["accessToken"])
    assert main.run(["access", "explain", "ship:now", "--client", "people/alice"]) == Exit.DENIED
    shown = capsys.readouterr().out
    assert "static/liftlock/root could grant it (it holds auth:update-client:people/alice)" in shown
    assert main.run(["access", "explain", "ship:now", "--holding", "assume:release"]) == Exit.OK
    assert capsys.readouterr().out.splitlines()[0] == "who holds assume:release: may"


def test_a14_a_refusal_by_any_rule_is_explained_alike_by_api_and_command(
    served: Served, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKCLUSTER_ROOT_URL", served.root_url)
    monkeypatch.delenv("TASKCLUSTER_CLIENT_ID", raising=False)
    monkeypatch.delenv("TASKCLUSTER_ACCESS_TOKEN", raising=False)
    for name, rule in RULES.items():
        answer = requests.get(f"{served.root_url}/api/auth/v1/refusal-rule/{name}", timeout=30).json()
        assert answer == {"rule": name, "holds": rule.holds, "remedy": rule.remedy, "page": rule.page}
        assert main.run(["access", "explain", "--rule", name, "--json"]) == Exit.OK
        assert json.loads(capsys.readouterr().out) == answer
    assert main.run(["access", "explain", "--rule", "no-such"]) == Exit.USAGE
    assert "no refusal has the rule 'no-such'; there are: hook-name, payload, " in capsys.readouterr().err
    assert main.run(["access", "explain"]) == Exit.USAGE
    assert "expected scopes, or --rule" in capsys.readouterr().err
