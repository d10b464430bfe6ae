"""Operations on a real liftlock: a repository, an index, people with keys, and everything from the request to the end."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from liftlock.cli.client import Api
from liftlock.cli.failures import AnsweredError
from liftlock.cli.profiles import Profile
from liftlock.domain.approvals.approval import Verdict
from liftlock.domain.approvals.request import read_frozen
from liftlock_up import LIFTLOCK, Up
from operation_builders import Signer

ROOT = Path(__file__).parent.parent
WHEELHOUSE = ROOT / ".cache/wheelhouse"
TOKEN = "canary-index-token-5f1c"
LIMIT_S = 180.0


@dataclass(slots=True)
class Repository:
    """A bare repository that liftlock fetches, and a clone to commit in."""

    folder: Path

    @property
    def bare(self) -> Path:
        return self.folder / "origin.git"

    @property
    def clone(self) -> Path:
        return self.folder / "clone"

    @classmethod
    def make(cls, folder: Path, example: str) -> Repository:
        made = cls(folder)
        folder.mkdir(parents=True)
        made.git("init", "--quiet", "--bare", "--shared=all", "-b", "main", str(made.bare), where=folder)
        shutil.copytree(
            ROOT / "examples" / example,
            made.clone,
            ignore=shutil.ignore_patterns(".ruff_cache", "__pycache__"),
        )
        made.git("init", "--quiet", "-b", "main")
        made.git("remote", "add", "origin", str(made.bare))
        made.commit("Begin")
        return made

    def git(self, *arguments: str, where: Path | None = None) -> str:
        return subprocess.run(
            ["git", "-c", "user.name=Robin", "-c", "user.email=robin@example.org", *arguments],
            cwd=where or self.clone,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    def commit(self, message: str, files: dict[str, str] | None = None) -> str:
        """Write the files, commit, push, and return the revision."""
        for path, content in (files or {}).items():
            (self.clone / path).parent.mkdir(parents=True, exist_ok=True)
            (self.clone / path).write_text(content)
        self.git("add", "-A")
        self.git("commit", "--quiet", "-m", message)
        self.git("push", "--quiet", "origin", "HEAD")
        return self.git("rev-parse", "HEAD")


def open_to_all(repository: Repository) -> None:
    """Let the privileged worker push to the repository, whoever it runs as."""
    for folder, _, files in os.walk(repository.bare):
        os.chmod(folder, 0o777)
        for name in files:
            os.chmod(os.path.join(folder, name), 0o666)


@contextlib.contextmanager
def package_index(folder: Path, user: str = "publisher", token: str = TOKEN) -> Iterator[str]:
    """Run a real index on a free port and yield its address; who uploads needs the token."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-P", "-m", "liftlock.processes.demo.index_server", str(port), str(folder), user],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert server.stdin is not None
    server.stdin.write(token.encode())
    server.stdin.close()
    try:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(urllib.error.URLError, OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
                break
            assert server.poll() is None, "the index ended"
            assert time.monotonic() < deadline, "the index did not come up"
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


@dataclass(slots=True)
class World:
    """A liftlock with operations; people by name. `root` may do everything that anybody may."""

    up: Up
    folder: Path
    signers: dict[str, Signer]
    repositories: dict[str, Repository]
    index: str = ""
    apis: dict[str, Api] = field(default_factory=dict)

    @property
    def repository(self) -> Repository:
        """The first project's repository."""
        return next(iter(self.repositories.values()))

    @property
    def root(self) -> Api:
        if "root" not in self.apis:
            values = self.up.environment()
            profile = Profile(
                self.up.root_url, values["TASKCLUSTER_CLIENT_ID"], values["TASKCLUSTER_ACCESS_TOKEN"]
            )
            self.apis["root"] = Api(profile)
        return self.apis["root"]

    def close(self) -> None:
        """End all connections."""
        for api in self.apis.values():
            api.close()

    def person(self, name: str, *scopes: str) -> Api:
        """Return the API as `people/<name>`, made with these scopes the first time."""
        if name not in self.apis:
            made = self.root.put(
                "auth",
                "clients",
                f"people/{name}",
                payload={
                    "expires": "2100-01-01T00:00:00.000Z",
                    "description": name,
                    "scopes": [*scopes, "liftlock:list-operations", "queue:get-artifact:*", "queue:status:*"],
                },
            )
            self.apis[name] = Api(Profile(self.up.root_url, f"people/{name}", made["accessToken"]))
        return self.apis[name]

    def register(self, operations: dict[str, Any], level: int = 1) -> None:
        """Register the repositories and give the operations' hooks what stage 1 needs."""
        for project, repository in self.repositories.items():
            self.root.put(
                "pushes",
                "project",
                project,
                payload={
                    "identityUrl": f"https://github.com/demo/{project}",
                    "fetchUrl": str(repository.bare),
                    "level": level,
                    "branches": ["*"],
                    "trustDomain": "demo",
                    "decideExisting": True,
                },
            )
        for name, operation in operations.items():
            self.root.put(
                "auth",
                "roles",
                f"hook-id:liftlock-operations/{name}",
                payload={
                    "description": "Stage 1",
                    "scopes": [
                        "queue:create-task:low:local/unprivileged",
                        "queue:create-task:project:none",
                        "queue:scheduler-id:liftlock-operations",
                        f"pushes:get-source:{operation['project']}",
                    ],
                },
            )

    def ask(self, api: Api, name: str, given: Any, ref: str = "main") -> str:
        """Ask for an operation and return its id."""
        made = api.post("operations", "request", name, payload={"ref": ref, "input": given})
        return str(made["operationId"])

    def wait(self, operation_id: str, *states: str) -> dict[str, Any]:
        """Return the operation once it is in one of the states, or fail with all that explains it."""
        deadline = time.monotonic() + LIMIT_S
        while True:
            found: dict[str, Any] = self.root.get("operations", "operation", operation_id)
            if found["state"] in states:
                return found
            if found["state"] in ("done", "failed", "refused", "voided", "rejected", "expired", "cancelled"):
                raise AssertionError(f"{found['state']}: {found['why']}\n{self.logs(found)}")
            assert time.monotonic() < deadline, f"{found['state']}: {found['why']}\n{self.up.log[-3000:]}"
            time.sleep(0.2)

    def logs(self, found: dict[str, Any]) -> str:
        """Return the logs of both stages as far as they exist."""
        return "\n".join(self.log(found[key]) for key in ("stage1TaskId", "stage2TaskId"))

    def log(self, task_id: str) -> str:
        try:
            return self.root.artifact(task_id, "public/logs/live.log").decode(errors="replace")
        except AnsweredError as error:
            return f"no log of {task_id}: {error}"

    def result(self, found: dict[str, Any]) -> dict[str, Any]:
        """Return what stage 2 says that it did."""
        made: dict[str, Any] = json.loads(self.root.artifact(found["stage2TaskId"], "public/result.json"))
        return made

    def approve(self, api: Api, name: str, found: dict[str, Any], verdict: Verdict = "approve") -> Any:
        """Say yes or no to what waits, signed by that person."""
        said = self.signers[name].say(read_frozen(found["frozen"]), verdict)
        word = {
            "digest": said.digest,
            "approver": name,
            "reason": said.reason,
            "method": "ssh",
            "signature": said.proof,
        }
        return api.post("operations", "operation", found["operationId"], verdict, payload=word)

    def seal(self, operation: str, name: str, secret: str) -> None:
        """Seal a secret by the command line, as an operator does."""
        path = self.up.state_dir / "privileged/sealing-key.pub"
        deadline = time.monotonic() + 30
        while not path.exists():
            assert time.monotonic() < deadline, self.up.log[-3000:]
            time.sleep(0.05)
        subprocess.run(
            [LIFTLOCK, "operation", "seal-secret", operation, name, "--state-dir", str(self.up.state_dir)],
            input=secret.encode(),
            check=True,
            capture_output=True,
        )


@contextlib.contextmanager
def operations_world(
    examples: tuple[str, ...],
    configure: Callable[[dict[str, Any], dict[str, Repository]], None],
    *,
    index: bool = True,
    people: tuple[str, ...] = ("morgan", "alex", "robin"),
    arguments: tuple[str, ...] = (),
) -> Iterator[World]:
    """Yield a world for the examples; `configure` changes their operations, given as an object, before they are used."""
    with tempfile.TemporaryDirectory(prefix="liftlock-operations-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        os.chmod(folder, 0o711)
        repositories = {name: Repository.make(folder / "repositories" / name, name) for name in examples}
        signers = {each: Signer.make(each, folder) for each in people}
        address = stack.enter_context(package_index(folder / "index")) if index else ""
        operations: dict[str, Any] = {}
        for each in examples:
            operations |= yaml.safe_load((ROOT / "examples" / each / "operations.yml").read_text())[
                "operations"
            ]
        text = json.dumps(operations).replace("http://127.0.0.1:8081", address)
        document = {
            "operations": json.loads(text),
            "approvers": {each.name: each.person() for each in signers.values()},
        }
        configure(document["operations"], repositories)
        file = folder / "operations.yml"
        file.write_text(yaml.safe_dump(document))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        given = ("--operations", str(file), "--wheelhouse", str(WHEELHOUSE), *arguments)
        running = Up(folder / "state", port, given)
        try:
            running.start()
            world = World(running, folder, signers, repositories, address)
            stack.callback(world.close)
            world.register(document["operations"])
            yield world
        finally:
            running.stop()
