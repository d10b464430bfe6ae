"""`liftlock project` and `liftlock push` with a real git, against a control plane over real HTTP."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from control_plane_server import ROOT, Served, serve
from git_source import commit, git, new_source
from liftlock.cli import main
from liftlock.cli.client import Api
from liftlock.cli.exit_codes import Exit
from liftlock.cli.post_receive import MARK
from liftlock.cli.profiles import load_profile
from push_world import CONFIG, CREATE

pytestmark = pytest.mark.process

IDENTITY = "https://github.com/demo/widget"
LIMIT_S = 20.0


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    (tmp_path / "control").mkdir()
    with serve(tmp_path / "control") as running:
        yield running


@pytest.fixture(autouse=True)
def _as_root(tmp_path: Path, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKCLUSTER_ROOT_URL", served.root_url)
    monkeypatch.setenv("TASKCLUSTER_CLIENT_ID", ROOT.client_id)
    monkeypatch.setenv("TASKCLUSTER_ACCESS_TOKEN", ROOT.access_token)
    monkeypatch.delenv("TASKCLUSTER_CERTIFICATE", raising=False)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return new_source(tmp_path)


def run(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = Exit.OK) -> str:
    capsys.readouterr()
    ended = main.run(list(arguments))
    said = capsys.readouterr()
    assert ended == status, said.err
    return said.out if status == Exit.OK else said.err


def register(capsys: pytest.CaptureFixture[str], work: Path, *more: str) -> Any:
    arguments = ["--identity", IDENTITY, "--fetch", str(work.parent / "widget.git"), "--level", "3"]
    out = run(capsys, "project", "register", "widget", *arguments, "--trust-domain", "demo", *more, "--json")
    return json.loads(out)


def give_roles() -> None:
    api = Api(load_profile(os.environ, None))
    role = "repo:github.com/demo/widget:branch:main"
    api.put("auth", "roles", role, payload={"description": "", "scopes": list(CREATE)})
    api.close()


def pushed(capsys: pytest.CaptureFixture[str], revision: str) -> dict[str, Any]:
    """Return the push log's entry of the revision, once it is decided."""
    began = time.monotonic()
    while time.monotonic() - began < LIMIT_S:
        found = json.loads(run(capsys, "push", "ls", "widget", "--revision", revision, "--json"))
        if found and found[0]["decision"]["state"] != "pending":
            return dict(found[0])
        time.sleep(0.05)
    raise AssertionError(f"{revision} was not recorded")


def test_a_git_push_rings_and_becomes_a_decision_task(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    give_roles()
    register(capsys, work)
    run(capsys, "push", "install-hook", "widget", str(work.parent / "widget.git"))
    revision = commit(work, CONFIG)
    git(work, "push", "--quiet", "origin", "main", LIFTLOCK_PUSHER="robin")
    found = pushed(capsys, revision)
    assert (found["id"], found["owner"], found["ownerStanding"]) == (1, "robin", "claimed")
    assert (found["kind"], found["author"]) == ("created", "Robin <robin@example.org>")
    task = json.loads(run(capsys, "task", "show", found["taskId"], "--json"))
    assert json.dumps(task).count("assume:repo:github.com/demo/widget:branch:main") == 1


def test_the_log_is_listed_and_shown_without_driving_the_terminal(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    register(capsys, work)
    revision = commit(work, CONFIG)
    git(work, "push", "--quiet", "origin", "main")
    assert run(capsys, "push", "notify", "widget", "--claim", "main", revision, "sam") == "rang for widget\n"
    pushed(capsys, revision)
    line = run(capsys, "push", "ls", "widget").splitlines()[1]
    assert line.split() == ["1", "main", revision[:12], "sam", "failed", "-", "Subject[31m"]
    capsys.readouterr()
    assert main.run(["push", "show", "widget", "1"]) == Exit.FAILED
    shown = capsys.readouterr().out
    assert "ownerStanding: authenticated" in shown
    assert "    Body" in shown
    assert "\x1b" not in shown


def test_why_a_push_has_no_task_is_shown_and_is_a_failure_for_scripts(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    register(capsys, work)
    revision = commit(work, "version: [")
    git(work, "push", "--quiet", "origin", "main")
    run(capsys, "push", "notify", "widget")
    pushed(capsys, revision)
    capsys.readouterr()
    assert main.run(["push", "show", "widget", "1"]) == Exit.FAILED
    assert "decision: failed InputError: .taskcluster.yml: expected YAML" in capsys.readouterr().out


def test_a_branch_that_is_there_at_registration_is_decided_only_if_asked(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    revision = commit(work, CONFIG)
    git(work, "push", "--quiet", "origin", "main")
    register(capsys, work)
    run(capsys, "project", "rm", "widget")
    register(capsys, work, "--decide-existing")
    assert pushed(capsys, revision)["id"] == 1


def test_the_source_of_a_push_is_a_bundle_that_git_can_clone(
    work: Path, served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    register(capsys, work)
    revision = commit(work, CONFIG)
    git(work, "push", "--quiet", "origin", "main")
    run(capsys, "push", "notify", "widget")
    pushed(capsys, revision)
    api = Api(load_profile(os.environ, None))
    with api.stream("pushes", "project", "widget", "revision", revision, "source") as chunks:
        (tmp_path / "source.bundle").write_bytes(b"".join(chunks))
    api.close()
    git(tmp_path, "clone", "--quiet", str(tmp_path / "source.bundle"), "copy")
    assert git(tmp_path / "copy", "rev-parse", "HEAD") == revision
    assert (tmp_path / "copy" / ".taskcluster.yml").read_text() == CONFIG


def test_projects_are_listed_shown_and_removed(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = register(capsys, work, "--branch", "main", "--branch", "release/*")
    assert made["branches"] == ["main", "release/*"]
    assert IDENTITY in run(capsys, "project", "ls")
    shown = run(capsys, "project", "show", "widget")
    assert "level: 3" in shown
    assert run(capsys, "project", "rm", "widget") == "widget is removed\n"
    assert "ResourceNotFound" in run(capsys, "project", "show", "widget", status=Exit.USAGE)


def test_a_repository_that_is_not_there_is_not_registered_and_git_is_quoted(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--identity", IDENTITY, "--fetch", "/nowhere", "--level", "3", "--trust-domain", "demo"]
    said = run(capsys, "project", "add", "widget", *arguments, status=Exit.FAILED)
    assert "RepositoryError: git fetch: " in said
    assert "/nowhere" in said


def test_the_doorbell_needs_no_credentials_and_tells_nobody_which_projects_exist(
    work: Path, served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    register(capsys, work)
    answers = [
        requests.post(f"{served.root_url}/api/pushes/v1/doorbell/{name}", json={}, timeout=10)
        for name in ("widget", "no-such-project")
    ]
    assert [(answer.status_code, answer.json()) for answer in answers] == [(200, {}), (200, {})]
    bad = requests.post(f"{served.root_url}/api/pushes/v1/doorbell/widget", json={"claims": [{}]}, timeout=10)
    assert (bad.status_code, bad.json()["code"]) == (400, "InputValidationError")


def test_a_hook_of_somebody_else_is_not_replaced_unless_asked(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    register(capsys, work)
    bare = work.parent / "widget.git"
    hook = bare / "hooks" / "post-receive"
    hook.write_text("#!/bin/sh\n")
    said = run(capsys, "push", "install-hook", "widget", str(bare), status=Exit.USAGE)
    assert "is not liftlock's: call it from one script, or replace it with --force" in said
    run(capsys, "push", "install-hook", "widget", str(bare), "--force")
    run(capsys, "push", "install-hook", "widget", str(bare))
    assert MARK in hook.read_text()
    assert hook.stat().st_mode & 0o777 == 0o755
    assert ROOT.access_token not in hook.read_text()


def test_install_hook_wants_a_git_repository(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    register(capsys, work)
    assert "expected a git repository" in run(
        capsys, "push", "install-hook", "widget", str(tmp_path / "control"), status=Exit.USAGE
    )
