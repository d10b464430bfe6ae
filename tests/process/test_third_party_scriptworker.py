"""scriptworker's chain-of-trust verifier, unmodified, on a build → decision chain that liftlock's worker signed (B9).

Its installation takes a while, so it is a soak test: `make soak`.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import taskcluster

from fakes.certified_signer import private_key
from liftlock_up import Up, up
from scriptworker_world import (
    DECIDE,
    IDENTITY,
    QUEUE,
    ROLE,
    SIGNING_QUEUE,
    TASKCLUSTER_YML,
    Tamper,
    forge,
    tampered,
)

pytestmark = [pytest.mark.process, pytest.mark.soak]

THIRD_PARTY = Path(__file__).parents[1] / "third_party" / "scriptworker"
BAD_SIGNATURE = "ed25519 cot signature doesn"
CHAIN = "/artifacts/public/chain-of-trust.json"
READ = ["queue:get-task:*", "queue:status:*", "queue:list-artifacts:*", "queue:get-artifact:public/*"]
CREATE = [
    f"queue:create-task:low:{QUEUE}",
    f"queue:create-task:low:{SIGNING_QUEUE}",
    "queue:create-task:project:none",
    "queue:scheduler-id:demo-level-3",
    "pushes:get-source:widget",
    "pushes:list-projects",
]


@pytest.fixture
def python(scriptworker_python: str) -> str:
    """The Python that scriptworker is installed for."""
    return scriptworker_python


@dataclass
class Built:
    """A running liftlock with one push decided and built; `signing` reads what `build` made."""

    running: Up
    revision: str
    decision: str
    build: str
    signing: str
    keys: list[str]


def git(where: Path, *arguments: str) -> str:
    who = {
        f"GIT_{r}_{k}": v
        for r in ("AUTHOR", "COMMITTER")
        for k, v in (("NAME", "Robin"), ("EMAIL", "robin@example.com"))
    }
    environment = {"PATH": os.environ["PATH"], "HOME": str(where), **who}
    done = subprocess.run(
        ["git", *arguments], cwd=where, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def repository(folder: Path) -> str:
    """Make a repository with one commit that everybody can read; return its revision."""
    folder.mkdir(mode=0o755)
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / ".taskcluster.yml").write_text(TASKCLUSTER_YML)
    (folder / "decide.py").write_text(DECIDE)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "first")
    return git(folder, "rev-parse", "HEAD")


def resolved(queue: taskcluster.Queue, task_id: str, run: int = 0) -> str:
    """Wait until the run is resolved; return its state."""
    for _ in range(600):
        status = queue.status(task_id)["status"]
        if len(status["runs"]) > run and status["runs"][run]["state"] in ("completed", "failed", "exception"):
            return str(status["runs"][run]["state"])
        time.sleep(0.1)
    raise AssertionError(f"{task_id} is not resolved: {status}")


def call(running: Up, *arguments: str) -> str:
    """Run `liftlock …` as the operator."""
    command = [sys.executable, "-P", "-c", "from liftlock.cli.main import main; main()", *arguments]
    environment = {"PATH": os.environ["PATH"], **running.environment()}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def built() -> Iterator[Built]:
    with up("--workers", "1") as running:
        auth, queue = taskcluster.Auth(running.options()), running.queue()
        for role, scopes in (("anonymous", READ), (ROLE, CREATE)):
            auth.createRole(role, {"scopes": scopes, "description": "a role"})
        revision = repository(running.state_dir.parent / "widget")
        project = [
            "--identity",
            IDENTITY,
            "--fetch",
            str(running.state_dir.parent / "widget"),
            "--level",
            "3",
        ]
        more = ["--branch", "main", "--trust-domain", "demo", "--decide-existing"]
        call(running, "project", "add", "widget", *project, *more)
        decision = ""
        while not decision:
            [push] = json.loads(call(running, "push", "ls", "widget", "--json")) or [{"taskId": None}]
            decision = push["taskId"] or ""
        assert resolved(queue, decision) == "completed", call(running, "task", "logs", decision)
        members = {
            each["task"]["metadata"]["name"]: each["status"]["taskId"]
            for each in queue.listTaskGroup(decision)["tasks"]
        }
        assert resolved(queue, members["build"]) == "completed"
        keys = json.loads(call(running, "keys", "show", "--scriptworker", "--json"))
        yield Built(running, revision, decision, members["build"], members["signing"], keys)


def verdict(python: str, built: Built, work: Path, tamper: Tamper = lambda path, content: content) -> str:
    """Return what scriptworker says: nothing if it accepts the chain."""
    config: dict[str, Any] = json.loads((THIRD_PARTY / "config.json").read_text())
    with forge(built.revision) as forge_url, tampered(built.running.root_url, tamper) as root_url:
        rule = r"^/api/queue/v1/task/(?P<taskId>[^/]+)(/runs/\d+)?/artifacts/(?P<filepath>.*)$"
        netloc = root_url.removeprefix("http://")
        config["taskcluster_root_url"] = root_url
        config["valid_artifact_rules"] = [{"schemes": ["http"], "netlocs": [netloc], "path_regexes": [rule]}]
        config["ed25519_public_keys"] = {"generic-worker": built.keys}
        said = {
            "taskId": built.signing,
            "name": "signing",
            "workDir": str(work),
            "forge": forge_url,
            "config": config,
        }
        done = subprocess.run(
            [python, THIRD_PARTY / "verify.py"],
            input=json.dumps(said),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={"PATH": os.environ["PATH"], "HOME": str(work), "NO_PROXY": "*"},
        )
    assert (done.returncode == 0) == (not done.stderr), done.stdout[-3000:] + done.stderr[-3000:]
    return done.stderr


def changed(place: str, change: Any) -> Tamper:
    """Change the answer at the path that ends with `place`."""
    return lambda path, content: change(content) if path.endswith(place) else content


def flipped(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


def edited(**changes: Any) -> Any:
    return lambda content: json.dumps(json.loads(content) | changes).encode()


def read(built: Built, where: str) -> bytes:
    """An artifact of a task's latest run, decoded."""
    with (
        tampered(built.running.root_url, lambda path, content: content) as root_url,
        urllib.request.urlopen(f"{root_url}/api/queue/v1/task/{where}") as answer,
    ):
        return bytes(answer.read())


def chain_of_build(built: Built, content: bytes, signature: bytes) -> Tamper:
    """Give these for the build's chain of trust and its signature."""
    given = {f"{built.build}{CHAIN}": content, f"{built.build}{CHAIN}.sig": signature}
    return lambda path, found: given.get("".join(path.partition("/task/")[2:]), found)


def test_scriptworker_accepts_the_chain(python: str, built: Built, tmp_path: Path) -> None:
    assert verdict(python, built, tmp_path) == ""


def test_scriptworker_refuses_a_mutated_artifact(python: str, built: Built, tmp_path: Path) -> None:
    tamper = changed(f"{built.build}/artifacts/public/made.txt", flipped)
    assert "BAD HASH on file" in verdict(python, built, tmp_path, tamper)


def test_scriptworker_refuses_a_mutated_signature(python: str, built: Built, tmp_path: Path) -> None:
    tamper = changed(f"{built.build}{CHAIN}.sig", flipped)
    assert BAD_SIGNATURE in verdict(python, built, tmp_path, tamper)


def test_scriptworker_refuses_a_mutated_chain(python: str, built: Built, tmp_path: Path) -> None:
    tamper = changed(f"{built.build}{CHAIN}", edited(runId=7))
    assert BAD_SIGNATURE in verdict(python, built, tmp_path, tamper)


def test_scriptworker_refuses_a_mutated_graph(python: str, built: Built, tmp_path: Path) -> None:
    tamper = changed(f"{built.decision}/artifacts/public/task-graph.json", lambda content: content + b" ")
    assert "BAD HASH on file" in verdict(python, built, tmp_path, tamper)


def test_scriptworker_refuses_a_mutated_task_definition(python: str, built: Built, tmp_path: Path) -> None:
    payload = {"command": [["sh", "-c", "evil"]], "maxRunTime": 60}
    tamper = changed(f"/task/{built.build}", edited(payload=payload))
    assert "payload differs" in verdict(python, built, tmp_path, tamper)


def test_scriptworker_refuses_a_mutated_decision_task(python: str, built: Built, tmp_path: Path) -> None:
    tamper = changed(f"/task/{built.decision}", edited(scopes=["*"]))
    assert "match any rebuilt definition" in verdict(python, built, tmp_path, tamper)


def test_scriptworker_refuses_the_chain_of_another_pool(python: str, built: Built, tmp_path: Path) -> None:
    """Another pool's worker signs the very same chain."""
    content = read(built, f"{built.build}{CHAIN}")
    signed = private_key("another pool's worker").sign(content)
    tamper = changed(f"{built.build}{CHAIN}.sig", lambda _: signed)
    assert BAD_SIGNATURE in verdict(python, built, tmp_path, tamper)


def test_scriptworker_refuses_the_chain_of_another_task(python: str, built: Built, tmp_path: Path) -> None:
    content, signature = (read(built, f"{built.decision}{CHAIN}{end}") for end in ("", ".sig"))
    assert "match task taskId" in verdict(python, built, tmp_path, chain_of_build(built, content, signature))


def test_scriptworker_refuses_the_chain_of_another_run(python: str, built: Built, tmp_path: Path) -> None:
    """The artifacts are those of the rerun, the chain that of the run before; the rerun's own chain is accepted."""
    queue = built.running.queue()
    content, signature = (read(built, f"{built.build}{CHAIN}{end}") for end in ("", ".sig"))
    queue.rerunTask(built.build)
    assert resolved(queue, built.build, 1) == "completed"
    tamper = chain_of_build(built, content, signature)
    assert "BAD HASH on file" in verdict(python, built, tmp_path, tamper)
    (tmp_path / "again").mkdir()
    assert verdict(python, built, tmp_path / "again") == ""


def test_the_published_keys_are_those_of_the_workers(built: Built) -> None:
    assert [len(base64.b64decode(key)) for key in built.keys] == [32]
