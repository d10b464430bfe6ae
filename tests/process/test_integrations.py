"""A running control plane with a GitHub App: webhooks over HTTP, and what reaches GitHub; and dispatched events."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from control_plane_server import ROOT, Served, serve
from fakes.github_stand_in import GitHubStandIn, served
from git_source import commit, git, new_source
from github_descriptions import Description, webhook_examples
from liftlock.cli.client import Api
from liftlock.cli.profiles import Profile
from liftlock.domain.forge.happenings import parse
from liftlock.errors import InputInvalidError
from liftlock.processes.integrations_file import read_integrations

pytestmark = pytest.mark.process

SECRET = "a secret of the webhook"
LIMIT_S = 30.0
FILE = """
[github]
app-id = 4711
webhook-secret-file = "secret"
private-key-file = "key.pem"
api = "{api}"

[[github.repository]]
id = 1296269
full-name = "octocat/Hello-World"
installation = 99
project = "hello"

[[github.person]]
id = 21031067
client = "people/codertocat"

[[event]]
type = "nightly"
senders = ["static/liftlock/root"]
hook = "group/hook"
"""


@pytest.fixture(scope="module")
def description() -> Description:
    return Description()


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def github(description: Description, key: rsa.RSAPrivateKey) -> Iterator[GitHubStandIn]:
    made = GitHubStandIn(description, key.public_key())
    yield made
    assert made.wrong == []


@pytest.fixture
def running(github: GitHubStandIn, key: rsa.RSAPrivateKey, tmp_path: Path) -> Iterator[Served]:
    (tmp_path / "control").mkdir()
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "key.pem").write_bytes(pem)
    (tmp_path / "secret").write_text(SECRET + "\n")
    with served(github) as api:
        (tmp_path / "integrations.toml").write_text(FILE.format(api=api))
        told = read_integrations(tmp_path / "integrations.toml")
        with serve(
            tmp_path / "control",
            integrations=told.text,
            github_private_key=told.private_key,
            github_webhook_secret=told.webhook_secret,
        ) as control:
            yield control


def send(control: Served, event: str, payload: dict[str, Any], delivery: str, secret: str = SECRET) -> Any:
    body = json.dumps(payload).encode()
    signature = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "content-type": "application/json",
        "x-github-event": event,
        "x-github-delivery": delivery,
        "x-hub-signature-256": signature,
        "x-github-hook-installation-target-id": "4711",
    }
    return requests.post(
        f"{control.root_url}/api/forge/v1/github/webhook", data=body, headers=headers, timeout=10
    )


def commented(text: str) -> dict[str, Any]:
    """Return GitHub's published example of a comment on a pull request, with this text, from our installation."""
    example = next(each for each in webhook_examples()["issue_comment"] if each["action"] == "created")
    told: dict[str, Any] = json.loads(json.dumps(example))
    told["repository"] |= {"id": 1296269}
    told["installation"] = {"id": 99}
    told["issue"] |= {
        "number": 7,
        "pull_request": {"url": "https://api.github.com/repos/octocat/Hello-World/pulls/7"},
    }
    told["comment"] |= {"id": 31, "body": text, "created_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
    return told


def until(condition: Any, what: str) -> None:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < LIMIT_S, what
        time.sleep(0.05)


def test_a_command_in_a_comment_is_answered_at_github_once(running: Served, github: GitHubStandIn) -> None:
    answer = send(
        running, "issue_comment", commented("/liftlock ping"), "72d3162e-cc78-11e3-81ab-4c9367dc0958"
    )
    assert (answer.status_code, answer.json()) == (202, {"result": "accepted"})
    until(lambda: github.comments, "no answer came")
    assert github.comments[0]["body"].startswith("pong\n\n<!-- liftlock:72d3162e-")
    assert github.reactions == [(31, "eyes")]
    replayed = send(
        running, "issue_comment", commented("/liftlock ping"), "72d3162e-cc78-11e3-81ab-4c9367dc0958"
    )
    assert (replayed.status_code, replayed.json()["code"]) == (409, "RequestConflict")
    forged = send(
        running, "issue_comment", commented("/liftlock ping"), "delivery-2", secret="another secret"
    )
    assert (forged.status_code, forged.json()["code"]) == (401, "AuthenticationFailed")
    stranger = commented("/liftlock ping")
    stranger["comment"]["user"]["id"] = stranger["sender"]["id"] = 666
    assert send(running, "issue_comment", stranger, "delivery-3").status_code == 403
    garbage = requests.post(f"{running.root_url}/api/forge/v1/github/webhook", data=b"\xff" * 99, timeout=10)
    assert garbage.status_code == 401
    time.sleep(0.3)
    assert len(github.comments) == 1


def test_every_published_example_of_a_webhook_is_taken_without_an_error(running: Served) -> None:
    count = 0
    for event, examples in webhook_examples().items():
        for example in examples:
            body = json.dumps(example).encode()
            if "sender" in example:
                parse(event, body)
            answer = send(running, event, example, f"delivery-{count:05d}")
            assert answer.status_code in (202, 403, 400), (event, answer.text)
            assert answer.status_code != 400 or "sender" not in example, (event, answer.text)
            count += 1
    assert count > 200


def test_an_event_is_dispatched_over_http(running: Served) -> None:
    api = Api(Profile(running.root_url, ROOT.client_id, ROOT.access_token, None))
    task = {
        "taskQueueId": "local/unprivileged",
        "schedulerId": "x",
        "payload": {},
        "metadata": {
            "name": "n",
            "description": "d",
            "owner": "o@example.com",
            "source": "https://example.com/x",
        },
    }
    hook = {
        "metadata": {"name": "h", "description": "d", "owner": "o@example.com"},
        "task": task,
        "schedule": [],
        "triggerSchema": {"type": "object"},
    }
    scopes = [
        "queue:create-task:lowest:local/unprivileged",
        "queue:create-task:project:none",
        "queue:scheduler-id:x",
    ]
    api.put("auth", "roles", "hook-id:group/hook", payload={"description": "", "scopes": scopes})
    api.put("hooks", "hooks", "group", "hook", payload=hook)
    event = {"event_type": "nightly", "client_payload": {"a": 1}, "id": "monday"}
    taken = api.post("dispatch", "events", payload=event)
    assert taken["started"]["kind"] == "hook"
    assert api.get("queue", "task", taken["started"]["id"])["schedulerId"] == "x"
    assert api.post("dispatch", "events", payload=event) == taken
    answer = requests.post(f"{running.root_url}/api/dispatch/v1/events", json=event, timeout=5)
    assert answer.status_code == 403
    api.close()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x =", "expected TOML"),
        (FILE.format(api="https://api.github.com").replace('"secret"', '"nothing"'), "nothing: No such file"),
        (FILE.format(api="https://api.github.com").replace("app-id", "app"), "unknown field"),
        (FILE.format(api="https://api.github.com").replace('"secret"', '"short"'), "at least 16 characters"),
    ],
)
def test_an_integrations_file_that_makes_no_sense_is_told_at_the_start(
    tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "short").write_text("short")
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(InputInvalidError) as refused:
        read_integrations(tmp_path / "x.toml")
    assert said in refused.value.message


OPERATIONS = """
operations:
  publish-widget:
    description: Build widget and publish it
    project: hello
    refs: [main, topic]
    input: {type: object, properties: {version: {type: string}}, additionalProperties: false}
    stage1: {command: [[python3, build.py]]}
    contract: {files: [{names: "dist/*.whl", least: 1, type: zip, maxBytes: 1000}]}
    stage2: {kind: publish-distribution}
"""
PUBLISH = 'commands = {publish = "publish-widget"}'


def test_a_comment_asks_for_a_real_operation_and_hears_of_its_end(
    github: GitHubStandIn, key: rsa.RSAPrivateKey, tmp_path: Path
) -> None:
    work = new_source(tmp_path)
    revision = commit(work, "version: 1\ntasks: []\n")
    git(work, "push", "--quiet", "origin", "main", "main:topic")
    github.add_pull(7, revision, ref="topic")
    (tmp_path / "control").mkdir()
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with served(github) as api_url:
        told = FILE.format(api=api_url).replace('project = "hello"', f'project = "hello"\n{PUBLISH}')
        with serve(
            tmp_path / "control",
            operations=OPERATIONS,
            integrations=told,
            github_private_key=key.private_bytes(*form).decode(),
            github_webhook_secret=SECRET,
        ) as control:
            api = Api(Profile(control.root_url, ROOT.client_id, ROOT.access_token, None))
            _operable(api, tmp_path / "widget.git")
            assert send(control, "issue_comment", commented("/liftlock publish version=1.0"), "delivery-1").ok
            until(lambda: github.comments, "no answer came")
            assert github.comments[0]["body"].startswith("started: "), github.comments[0]["body"]
            until(lambda: github.checks, "no check was made")
            [check] = github.checks
            operation = api.get("operations", "operation", check["external_id"])
            assert (check["head_sha"], check["status"]) == (revision, "in_progress")
            asked = (operation["requester"], operation["ref"], operation["revision"], operation["input"])
            assert asked == ("people/codertocat", "topic", revision, {"version": "1.0"})
            assert f"/operations/{check['external_id']}) at {revision[:12]}" in github.comments[0]["body"]
            assert send(control, "issue_comment", commented("/liftlock cancel"), "delivery-2").ok
            until(lambda: len(github.comments) == 3, "the end was not told")
            told_last = [each["body"] for each in github.comments[1:]]
            assert any("is cancelled" in body for body in told_last)
            assert any("ended: cancelled" in body for body in told_last)
            until(lambda: github.checks[0]["conclusion"] == "cancelled", "the check was not completed")
            bad = commented("/liftlock publish size=big")
            assert send(control, "issue_comment", bad, "delivery-3").ok
            until(lambda: len(github.comments) == 4, "no answer to a bad input came")
            assert "`publish` was not started" in github.comments[3]["body"]
            api.close()


def _operable(api: Api, source: Path) -> None:
    """Register the repository, and give stage 1 and the commenter what they need."""
    project = {
        "identityUrl": "https://github.com/octocat/hello-world",
        "fetchUrl": str(source),
        "level": 3,
        "branches": ["main", "topic"],
        "trustDomain": "demo",
        "decideExisting": True,
    }
    api.put("pushes", "project", "hello", payload=project)
    until(lambda: len(api.get("pushes", "project", "hello", "pushes")["pushes"]) == 2, "no push was recorded")
    create = [
        "queue:create-task:low:local/unprivileged",
        "queue:create-task:project:none",
        "queue:scheduler-id:liftlock-operations",
        "pushes:get-source:hello",
    ]
    may = ["liftlock:request:publish-widget", "liftlock:list-operations"]
    for role, scopes in (
        ("hook-id:liftlock-operations/publish-widget", create),
        ("github-user:21031067", may),
    ):
        api.put("auth", "roles", role, payload={"description": "", "scopes": scopes})
