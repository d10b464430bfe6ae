"""gated as a process of its own in a folder of its own, a feed to talk to it, and repositories with real hooks."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from liftlock.domain.pushes.feed import BLOCKING

ROOT = Path(__file__).parents[1]
LIFTLOCK = str(Path(sys.executable).parent / "liftlock")
POLICY = """
version = 1
feed-users = ["{feeder}"]
operators = ["{operator}"]
[feed.tracker]
link = "https://tracker.example/{{bug}}"
"""
PEOPLE = {
    f"GIT_{who}_{what}": "tester@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
}


def record(bug: int, seq: int = 1, reason: str = "unapproved", **fields: Any) -> dict[str, Any]:
    return {"bug": bug, "seq": seq, "blocked": reason in BLOCKING, "reason": reason, **fields}


class Feed:
    """The other end of gated's feed socket. It answers re-reads by `truth`, and with nothing for other bugs."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(60)
        self._socket.connect(str(path))
        self._file = self._socket.makefile("rb")
        self._came: queue.Queue[dict[str, Any]] = queue.Queue()
        self.truth: dict[int, dict[str, Any]] = {}
        self.asked: list[int] = []
        self.mute = False
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        self.where = self.receive()

    def _listen(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in self._file:
                message = json.loads(line)
                if message["type"] != "want-reread":
                    self._came.put(message)
                    continue
                self.asked.append(message["bug"])
                if not self.mute:
                    self.send("reread", id=message["id"], record=self.truth.get(message["bug"]))
        self._came.put({"type": "closed"})

    def send(self, kind: str, **fields: Any) -> None:
        self.raw(json.dumps({"type": kind, "source": "tracker", **fields}).encode() + b"\n")

    def raw(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self) -> dict[str, Any]:
        return self._came.get(timeout=60)

    def ask(self, kind: str, **fields: Any) -> dict[str, Any]:
        self.send(kind, **fields)
        return self.receive()

    def snapshot(
        self, *records: dict[str, Any], epoch: str = "e", head: int = 5, request: int | None = None
    ) -> dict[str, Any]:
        self.send("snapshot-begin", epoch=epoch, head=head, request=request)
        for at in range(0, len(records), 500):
            self.send("snapshot-part", records=records[at : at + 500])
        return self.ask("snapshot-end", count=len(records))

    def contact(self, *, epoch: str = "e", head: int = 5, **fields: Any) -> dict[str, Any]:
        return self.ask("contact", contact={"epoch": epoch, "head": head, **fields})

    def records(self, *records: dict[str, Any], epoch: str = "e") -> dict[str, Any]:
        return self.ask("records", epoch=epoch, records=records)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._file.close()
        self._socket.close()


class GateWorld:
    """A folder with gated, its policy and repositories. `gate_user`: whom gated runs as, where the test is root."""

    def __init__(self, folder: Path, *, gate_user: int | None = None) -> None:
        self.folder = folder
        self.run = folder / "run"
        self.state = folder / "state"
        self.policy = folder / "gate.toml"
        self.home = folder / "home"
        self.gate_user = gate_user
        self.feeder = str(os.getuid())
        self.process: subprocess.Popen[bytes] | None = None
        self.feeds: list[Feed] = []
        for path in (self.run, self.state, self.home):
            path.mkdir()
            path.chmod(0o755)
            if gate_user is not None:
                os.chown(path, gate_user, gate_user)
        self.set_policy("")

    def set_policy(self, text: str) -> None:
        me = str(os.getuid())
        self.policy.write_text(POLICY.format(feeder=self.feeder, operator=me) + text)
        if self.gate_user is not None:
            os.chown(self.policy, self.gate_user, self.gate_user)
            self.policy.chmod(0o600)
        if self.process is not None:
            before = self.log.count("the policy was")
            self.process.send_signal(signal.SIGHUP)
            for _ in range(400):
                if self.log.count("the policy was") > before:
                    return
                time.sleep(0.05)
            raise AssertionError(f"the policy was not read again:\n{self.log}")

    @property
    def log(self) -> str:
        return (self.folder / "gated.log").read_text()

    def start(self, *before: str) -> None:
        identity: dict[str, Any] = (
            {"user": self.gate_user, "group": self.gate_user, "extra_groups": []} if self.gate_user else {}
        )
        with (self.folder / "gated.log").open("ab") as log:
            began = log.tell()
            self.process = subprocess.Popen(
                [
                    *before,
                    *(sys.executable, "-P", "-m", "liftlock.processes.gated"),
                    *("--policy", self.policy, "--state", self.state, "--run", self.run),
                ],
                stdout=log,
                stderr=log,
                cwd="/",
                env={"PATH": "/usr/bin:/bin", "GATE_SECRET": "canary-of-the-environment"},
                **identity,
            )
        self._await_ready(began)

    def _await_ready(self, began: int) -> None:
        assert self.process is not None
        for _ in range(600):
            if '"event": "ready"' in (self.folder / "gated.log").read_text()[began:]:
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"gated did not start:\n{self.log}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(number)
        status = self.process.wait(30)
        self.process = None
        return status

    def pause(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def feed(self) -> Feed:
        self.feeds.append(Feed(self.run / "feed.sock"))
        return self.feeds[-1]

    def fed(self, *records: dict[str, Any]) -> Feed:
        """Return a feed that has brought these records and a contact, and stays connected."""
        feed = self.feed()
        answer = feed.snapshot(*records, request=feed.where["requests"].get("tracker"))
        assert answer["type"] == "applied", answer
        assert feed.contact()["type"] == "applied"
        return feed

    def ask(self, do: str, **fields: Any) -> dict[str, Any]:
        """Return gated's answer to an operator."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(20)
            connection.connect(str(self.run / "operator.sock"))
            connection.sendall(json.dumps({"do": do, **fields}).encode() + b"\n")
            answer: dict[str, Any] = json.loads(connection.makefile("rb").readline())
        return answer

    def liftlock(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run `liftlock gate …` against this gate."""
        verb, *rest = arguments
        return subprocess.run(
            [LIFTLOCK, "gate", verb, "--run", str(self.run), *rest],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={**os.environ, "HGRCPATH": str(self.home / "hgrc"), "HOME": str(self.home)},
            **options,
        )

    def install(self, repository: Path, name: str, *options: str) -> None:
        if self.process is None and "--fail" not in options:
            options += ("--fail", "open")
        done = self.liftlock(
            "install", str(repository), "--name", name, "--hooks-dir", str(self.folder / "hooks"), *options
        )
        assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def gate_world(*, gate_user: int | None = None) -> Iterator[GateWorld]:
    """Yield a world in a folder that every user may pass through; gated is ended with it."""
    folder = Path(tempfile.mkdtemp(prefix="liftlock-gate-test-"))
    folder.chmod(0o755)
    world = GateWorld(folder, gate_user=gate_user)
    (world.home / "hgrc").write_text("[ui]\nusername = tester\n[trusted]\nusers = *\n")
    try:
        yield world
    finally:
        for feed in world.feeds:
            feed.close()
        if world.process is not None:
            world.process.kill()
            world.process.wait()
        shutil.rmtree(folder, ignore_errors=True)


class GitPair:
    """A bare repository with the gate's hook, and a clone that pushes to it."""

    def __init__(self, world: GateWorld, name: str = "widget", *options: str, install: bool = True) -> None:
        self.world = world
        self.server = world.folder / f"{name}.git"
        self.clone = world.folder / f"{name}-clone"
        self.run("init", "--quiet", "--bare", str(self.server), where=world.folder)
        self.run("init", "--quiet", "--initial-branch=main", str(self.clone), where=world.folder)
        if install:
            world.install(self.server, name, "--no-self-test", *options)

    def run(
        self, *arguments: str, where: Path | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.world.home), "LC_ALL": "C", **PEOPLE}
        environment |= options.pop("env", {})
        return subprocess.run(
            ["git", *arguments],
            cwd=where or self.clone,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=120,
            **options,
        )

    def commit(self, message: str | bytes) -> str:
        raw = message.encode() if isinstance(message, str) else message
        (self.world.folder / "message").write_bytes(raw)
        done = self.run(
            "commit",
            "--quiet",
            "--allow-empty",
            "--cleanup=verbatim",
            "-F",
            str(self.world.folder / "message"),
        )
        assert done.returncode == 0, done.stderr
        return self.run("rev-parse", "HEAD").stdout.strip()

    def push(self, *refspecs: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.run("push", str(self.server), *(refspecs or ("HEAD:refs/heads/main",)), **options)

    def heads(self) -> dict[str, str]:
        listed = self.run("for-each-ref", "--format=%(refname) %(objectname)", where=self.server).stdout
        return dict(line.split(" ", 1) for line in listed.splitlines())


class CompiledGitPair(GitPair):
    """The same with the hook that is compiled."""

    def __init__(self, world: GateWorld, name: str = "widget", *options: str) -> None:
        super().__init__(world, name, "--client", "compiled", *options)


class MercurialPair:
    """A repository with the gate's hook, and a clone that pushes to it over the ssh protocol."""

    def __init__(self, world: GateWorld, name: str = "widget", *options: str, install: bool = True) -> None:
        self.world = world
        self.server = world.folder / f"{name}.hg"
        self.clone = world.folder / f"{name}-clone"
        self.run("init", str(self.server), where=world.folder)
        self.run("init", str(self.clone), where=world.folder)
        self.ssh = world.folder / "dummyssh"
        self.ssh.write_text('#!/bin/sh\nshift\nexec sh -c "$*"\n')
        self.ssh.chmod(0o755)
        if install:
            world.install(self.server, name, "--no-self-test", *options)

    def run(
        self, *arguments: str, where: Path | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.world.home),
            "HGRCPATH": str(self.world.home / "hgrc"),
            "LC_ALL": "C.UTF-8",
            "HGPLAIN": "1",
        }
        return subprocess.run(
            ["hg", *arguments],
            cwd=where or self.clone,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=240,
            **options,
        )

    def commit(self, message: str) -> str:
        with (self.clone / "file").open("a") as file:
            file.write("line\n")
        done = self.run("commit", "--quiet", "--addremove", "--message", message)
        assert done.returncode == 0, done.stderr
        return self.run("log", "-r", ".", "-T", "{node}").stdout

    def push(self, *options: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return self.run("push", "--ssh", str(self.ssh), *options, f"ssh://server/{self.server}", **more)

    def revisions(self) -> int:
        return len(self.run("log", "-T", "x", "-R", str(self.server)).stdout)
