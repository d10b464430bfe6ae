"""`liftlock action` with people's own credentials, against a control plane over real HTTP.

The test is the worker: it claims the decision task and uploads the actions.json that it wants.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
import taskcluster

from control_plane_server import ROOT, Served, serve
from git_source import commit, git, new_source
from liftlock.cli import main
from liftlock.cli.client import Api
from liftlock.cli.exit_codes import Exit
from liftlock.cli.profiles import Profile
from push_world import CONFIG, CREATE, PROMOTION, digest_of, payload_of
from task_builders import document

pytestmark = pytest.mark.process

ROLE = "repo:github.com/demo/widget"
GROUP = "project-demo"
GENERIC = f"in-tree-action-3-generic/{digest_of(CONFIG)[:10]}"
RESTRICTED = f"in-tree-action-3-{PROMOTION}/{digest_of(CONFIG)[:10]}"
POLICY = f"""
[trust-domain.demo]
permissions = ["generic", "{PROMOTION}"]
[[person]]
client = "people/robin"
names = ["robin"]
"""
SCHEMA = {
    "type": "object",
    "properties": {"times": {"type": "integer", "minimum": 1, "maximum": 3, "default": 2}},
    "required": ["times"],
    "additionalProperties": False,
}


class World:
    """A pushed project whose decision task has run."""

    def __init__(self, served: Served, work: Path) -> None:
        self.served = served
        self.queue = taskcluster.Queue(served.options)
        self.auth = taskcluster.Auth(served.options)
        self._set_up(work)
        self.push = self._push(work)
        self.group = self.push["taskId"]

    def _set_up(self, work: Path) -> None:
        offered = f"in-tree:hook-action:{GROUP}/in-tree-action-3-*"
        for role, scopes in {
            f"{ROLE}:branch:main": [*CREATE, offered],
            f"{ROLE}:action:generic": [*CREATE],
            f"{ROLE}:action:{PROMOTION}": [*CREATE],
            f"hook-id:{GROUP}/in-tree-action-3-generic/*": [f"assume:{ROLE}:action:generic"],
            f"hook-id:{GROUP}/in-tree-action-3-{PROMOTION}/*": [f"assume:{ROLE}:action:{PROMOTION}"],
            "anonymous": ["queue:get-artifact:public/*", "queue:get-task:*", "queue:status:*"],
        }.items():
            self.auth.createRole(role, {"description": "", "scopes": scopes})
        self.call("PUT", "project/widget", {
            "identityUrl": "https://github.com/demo/widget",
            "fetchUrl": str(work.parent / "widget.git"),
            "level": 3,
            "branches": ["main"],
            "trustDomain": "demo",
        })  # fmt: skip

    def _push(self, work: Path) -> dict[str, Any]:
        commit(work, CONFIG)
        git(work, "push", "--quiet", "origin", "main")
        self.call("POST", "doorbell/widget", {})
        began = time.monotonic()
        while time.monotonic() - began < 20:
            found = self.call("GET", "project/widget/pushes")["pushes"]
            if found and found[0]["taskId"]:
                return dict(found[0])
            time.sleep(0.05)
        raise AssertionError("the push was not decided")

    def call(self, method: str, path: str, payload: Any = None) -> Any:
        """Call the pushes service as root."""
        api = Api(Profile(self.served.root_url, ROOT.client_id, ROOT.access_token))
        try:
            return api.call(method, "pushes", *path.split("/"), payload=payload)
        finally:
            api.close()

    def offer(self, *actions: dict[str, Any], **variables: Any) -> None:
        """Run the decision task: all it does is to upload this actions.json."""
        [taken] = self.queue.claimWork("local/unprivileged", {"workerGroup": "local", "workerId": "w"})[
            "tasks"
        ]
        run = taskcluster.Queue(
            {"rootUrl": self.served.root_url, "credentials": taken["credentials"], "maxRetries": 0}
        )
        expires = taskcluster.stringDate(datetime.now(UTC) + timedelta(days=1))
        given = {"storageType": "s3", "contentType": "application/json", "expires": expires}
        made = run.createArtifact(self.group, 0, "public/actions.json", given)
        content = json.dumps({"version": 1, "variables": variables, "actions": actions}).encode()
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        requests.put(
            made["putUrl"], data=gzip.compress(content), headers=headers, timeout=30
        ).raise_for_status()
        run.reportCompleted(self.group, 0)

    def hook_action(self, name: str = "retrigger", hook: str = GENERIC, **changes: Any) -> dict[str, Any]:
        """Return an action as taskgraph writes it for this push."""
        push = SimpleNamespace(
            task_id=self.group,
            identity=self.push["identityUrl"],
            project="widget",
            level=3,
            id=self.push["id"],
            revision=self.push["revision"],
            base_revision=self.push["baseRevision"],
            branch="main",
        )
        payload: dict[str, Any] = payload_of(push)  # type: ignore[arg-type] # the same fields
        payload["user"] = {name: {"$eval": name} for name in ("input", "taskId", "taskGroupId")}
        return {
            "name": name,
            "title": name.title(),
            "description": "What it does",
            "context": [],
            "kind": "hook",
            "hookGroupId": GROUP,
            "hookId": hook,
            "hookPayload": payload,
            **changes,
        }

    def member(self, **tags: str) -> str:
        """Create a task in the group and return its id."""
        task_id: str = taskcluster.slugId()
        body = document(datetime.now(UTC), taskGroupId=self.group, schedulerId="demo-level-3", tags=tags)
        self.queue.createTask(task_id, body)
        return task_id


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    (tmp_path / "control").mkdir()
    with serve(tmp_path / "control", policy=POLICY) as running:
        yield running


@pytest.fixture
def world(served: Served, tmp_path: Path) -> World:
    return World(served, new_source(tmp_path))


@pytest.fixture
def become(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that makes a client with scopes and takes its place."""

    def act(client_id: str, *scopes: str) -> None:
        given = {"description": "", "expires": "2036-01-01T00:00:00Z", "scopes": list(scopes)}
        made = world.auth.createClient(client_id, given)
        monkeypatch.setenv("TASKCLUSTER_ROOT_URL", world.served.root_url)
        monkeypatch.setenv("TASKCLUSTER_CLIENT_ID", client_id)
        monkeypatch.setenv("TASKCLUSTER_ACCESS_TOKEN", made["accessToken"])
        monkeypatch.delenv("TASKCLUSTER_CERTIFICATE", raising=False)

    return act


MAY_RUN = f"hooks:trigger-hook:{GROUP}/in-tree-action-3-generic/*"


def test_the_actions_of_a_task_and_of_the_group_are_told_apart(
    world: World, become: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    build = world.member(kind="build")
    world.offer(
        world.hook_action("for-group"),
        world.hook_action("for-build", context=[{"kind": "build"}]),
        {"kind": "unknown"},
    )
    become("people/robin")
    assert main.run(["action", "ls", world.group, "--json"]) == Exit.OK
    assert [each["name"] for each in json.loads(capsys.readouterr().out)["actions"]] == ["for-group"]
    assert main.run(["action", "ls", world.group, "--task-id", build]) == Exit.OK
    assert capsys.readouterr().out.splitlines()[1].split() == [
        "for-build",
        "hook",
        "in-tree-action-3-generic",
        "For-Build",
    ]


def test_a3_a5_an_action_runs_with_scopes_that_the_user_lacks(
    world: World, become: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    world.offer(world.hook_action(schema=SCHEMA))
    become("people/robin", MAY_RUN)
    assert main.run(["action", "run", world.group, "retrigger", "--yes"]) == Exit.OK
    said = capsys.readouterr()
    created = said.out.strip()
    definition = world.queue.task(created)
    assert definition["scopes"] == [f"assume:{ROLE}:action:generic"]
    assert definition["taskGroupId"] == world.group
    assert "the task that would be created:" in said.err
    assert f"  assume:{ROLE}:action:generic" in said.err
    assert "only the server checks that the decision task has in-tree:hook-action:" in said.err


def test_a7_without_consent_nothing_runs(
    world: World, become: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    world.offer(world.hook_action())
    become("people/robin", MAY_RUN)
    assert main.run(["action", "run", world.group, "retrigger"]) == Exit.USAGE
    assert "nothing was run: add --yes" in capsys.readouterr().err
    members = world.queue.listTaskGroup(world.group)["tasks"]
    assert [each["status"]["taskId"] for each in members] == [world.group]


@pytest.mark.parametrize(
    ("given", "status", "said"),
    [
        ('{"times": 9}', Exit.USAGE, "input.times: 9 is greater than the maximum of 3"),
        ("times: 3", Exit.OK, ""),
        ("{", Exit.USAGE, "--input: expected JSON or YAML"),
        ("@nowhere.json", Exit.USAGE, "--input: nowhere.json"),
        ("2026-01-01", Exit.USAGE, "--input: expected JSON or YAML of JSON values"),
    ],
)
def test_the_input_is_checked_by_the_actions_schema(
    world: World,
    become: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    given: str,
    status: Exit,
    said: str,
) -> None:
    world.offer(world.hook_action(schema=SCHEMA))
    become("people/robin", MAY_RUN)
    assert main.run(["action", "run", world.group, "retrigger", "--yes", "--input", given]) == status
    assert said in capsys.readouterr().err


def test_an_action_without_a_schema_takes_no_input(
    world: World, become: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    world.offer(world.hook_action())
    become("people/robin", MAY_RUN)
    assert main.run(["action", "run", world.group, "retrigger", "--yes", "--input", "{}"]) == Exit.USAGE
    assert "takes no input" in capsys.readouterr().err


def test_an_input_may_be_a_file_and_the_command_may_wait(
    world: World, become: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.offer(world.hook_action(schema=SCHEMA))
    become("people/robin", MAY_RUN)
    path = tmp_path / "input.yml"
    path.write_text("times: 1\n")
    arguments = [
        "action",
        "run",
        world.group,
        "retrigger",
        "--yes",
        "--input",
        str(path),
        "--wait",
        "--timeout",
        "0",
    ]
    assert main.run(arguments) == Exit.TIMEOUT
    assert "is pending after 0 s" in capsys.readouterr().err


def test_a_button_for_an_ambiguous_or_missing_action_is_refused(
    world: World, become: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    world.offer(world.hook_action(), world.hook_action())
    become("people/robin", MAY_RUN)
    assert main.run(["action", "run", world.group, "retrigger", "--yes"]) == Exit.USAGE
    assert "2 actions are called 'retrigger'" in capsys.readouterr().err
    assert main.run(["action", "run", world.group, "other", "--yes"]) == Exit.USAGE
    assert "no action 'other' for the task group; there are: retrigger" in capsys.readouterr().err


def test_a_task_of_another_group_is_no_target(
    world: World, become: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    world.offer(world.hook_action())
    other: str = taskcluster.slugId()
    world.queue.createTask(other, document(datetime.now(UTC)))
    become("people/robin", MAY_RUN)
    assert main.run(["action", "run", world.group, "retrigger", "--task-id", other, "--yes"]) == Exit.USAGE
    assert f"belongs to group {other}, not to {world.group}" in capsys.readouterr().err


def test_who_may_not_trigger_is_refused_with_what_is_missing(
    world: World, become: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    world.offer(world.hook_action())
    become("people/robin", "hooks:trigger-hook:other/*")
    assert main.run(["action", "run", world.group, "retrigger", "--yes"]) == Exit.DENIED
    assert f"hooks:trigger-hook:{GROUP}/{GENERIC}" in capsys.readouterr().err


def test_a10_a_restricted_action_waits_until_another_person_admits_it(
    world: World, become: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    world.offer(world.hook_action("promote", RESTRICTED))
    admit = [
        "push",
        "admit",
        digest_of(CONFIG),
        "--trust-domain",
        "demo",
        "--level",
        "3",
        "--permission",
        PROMOTION,
    ]
    become("people/robin", f"pushes:admit-hooks:3:{PROMOTION}")
    assert main.run(admit) == Exit.DENIED
    assert "pushed this content" in capsys.readouterr().err
    may_run = f"hooks:trigger-hook:{GROUP}/in-tree-action-3-{PROMOTION}/*"
    become("people/morgan", may_run, f"pushes:admit-hooks:3:{PROMOTION}", "pushes:list-admissions")
    assert main.run(["action", "run", world.group, "promote", "--yes"]) == Exit.DENIED
    assert "is not admitted for release-promotion at level 3" in capsys.readouterr().err
    assert main.run(["push", "waiting"]) == Exit.OK
    assert digest_of(CONFIG) in capsys.readouterr().out
    assert main.run(admit) == Exit.OK
    assert main.run(["action", "run", world.group, "promote", "--yes"]) == Exit.OK


def test_a6_a_hook_that_the_decision_task_may_not_offer_is_refused_before_it_is_asked_for(
    world: World, become: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    hook = {
        "metadata": {"name": "n", "description": "", "owner": "o@example.org"},
        "task": {},
        "triggerSchema": {"type": "object"},
    }
    taskcluster.Hooks(world.served.options).createHook("garbage", "trap", hook)
    world.offer(world.hook_action("trap", "trap", hookGroupId="garbage", hookPayload={}))
    become("people/robin", "hooks:trigger-hook:garbage/trap", "auth:expand-scopes")
    assert main.run(["action", "run", world.group, "trap", "--yes"]) == Exit.DENIED
    assert (
        "does not have in-tree:hook-action:garbage/trap: it may not offer this hook"
        in capsys.readouterr().err
    )


def test_explain_shows_what_would_run_and_what_it_takes_and_runs_nothing(
    world: World, become: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    world.offer(world.hook_action(schema=SCHEMA))
    become("people/robin", MAY_RUN)
    assert main.run(["action", "explain", world.group, "retrigger", "--json"]) == Exit.OK
    answer = json.loads(capsys.readouterr().out)
    assert answer["needs"] == {
        "you": f"hooks:trigger-hook:{GROUP}/{GENERIC}",
        "decisionTask": f"in-tree:hook-action:{GROUP}/{GENERIC}",
    }
    assert answer["sends"]["user"] == {"input": {"times": 2}, "taskId": None, "taskGroupId": world.group}
    assert answer["task"]["scopes"] == [f"assume:{ROLE}:action:generic"]
    assert answer["problem"] is None
    assert main.run(["action", "explain", world.group, "retrigger"]) == Exit.OK
    assert "schema of the input:" in capsys.readouterr().out
    assert len(world.queue.listTaskGroup(world.group)["tasks"]) == 1


def _task_action(*scopes: str) -> dict[str, Any]:
    task = document(datetime.now(UTC), schedulerId="demo-level-3", taskGroupId="${taskGroupId}")
    task["scopes"] = list(scopes)
    task["metadata"]["name"] = "made as ${ownTaskId}"
    return {"name": "make", "title": "Make", "description": "", "context": [], "kind": "task", "task": task}


def test_a4_kind_task_uses_the_users_own_scopes_limited_to_the_decision_tasks(
    world: World, become: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    world.offer(_task_action())
    become("people/robin", *CREATE)
    assert main.run(["action", "run", world.group, "make", "--yes"]) == Exit.DENIED
    assert f"assume:{ROLE}:branch:main" in capsys.readouterr().err
    become("people/root", "*")
    assert main.run(["action", "run", world.group, "make", "--yes"]) == Exit.OK
    created = capsys.readouterr().out.strip()
    assert world.queue.task(created)["metadata"]["name"] == f"made as {created}"


def test_a4_kind_task_cannot_lend_a_mighty_users_scopes_to_the_repository(
    world: World, become: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    world.offer(_task_action("secrets:get:release-key"))
    become("people/root", "*")
    assert main.run(["action", "run", world.group, "make", "--yes"]) == Exit.DENIED
    assert "secrets:get:release-key" in capsys.readouterr().err


def test_a_task_that_is_no_decision_task_says_so(
    world: World, become: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    become("people/robin")
    assert main.run(["action", "ls", world.group]) == Exit.USAGE
    assert "has no artifact public/actions.json" in capsys.readouterr().err


def test_titles_from_the_repository_cannot_drive_the_terminal(
    world: World, become: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    world.offer(world.hook_action(title="\x1b]0;owned\x07Run", description="\x1b[2J"))
    become("people/robin", MAY_RUN)
    for arguments in (["ls"], ["explain", "retrigger"], ["run", "retrigger"]):
        main.run(["action", arguments[0], world.group, *arguments[1:]])
        said = capsys.readouterr()
        assert "\x1b" not in said.out + said.err
        assert "\x07" not in said.out + said.err
