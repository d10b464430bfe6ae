"""A host of repositories with the push gate, for the demo: gated, feedd, the tracker they follow, and two repositories."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from liftlock.cli.gate_client import GateClient
from liftlock.errors import LiftlockError
from liftlock.processes.demo.report import DifferenceError
from liftlock.processes.demo.tracker_answers import TrackerModel
from liftlock.processes.demo.tracker_server import KEYS

START_LIMIT_S = 60.0
_BEGIN = (
    "import ctypes, runpy, sys; ctypes.CDLL(None).prctl(1, 15); del sys.argv[0]; "
    "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
)
"""Runs a module that ends when the demo does, however that happens (PR_SET_PDEATHSIG, SIGTERM)."""
POLICY = """\
version = 1
feed-users = ["{user}"]
operators = ["{user}"]

[feed.tracker]
link = "{tracker}/show_bug.cgi?id={{bug}}"

[defaults]
max-stale-s = {max_stale_s}
"""
FEED = """\
version = 1
gate = "{run}/feed.sock"

[source.tracker]
address = "{tracker}"
key-file = "{key}"
interval-ms = 100
"""


@dataclass(slots=True)
class Daemon:
    """A process of liftlock's: `module` with `arguments`; it is ready when its log says so."""

    module: str
    arguments: tuple[str, ...]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it is ready; raises DifferenceError if it never is."""
        with self.log.open("ab") as output:
            began = output.tell()
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", _BEGIN, self.module, *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env={"PATH": "/usr/bin:/bin"},
            )
        until(
            lambda: b'"event": "ready"' in self.log.read_bytes()[began:], f"{self.module} to start", self.log
        )

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(START_LIMIT_S)
            self.process = None

    def reload(self) -> None:
        """Have it read its policy again."""
        if self.process is not None:
            before = self.log.read_text().count("the policy was")
            self.process.send_signal(signal.SIGHUP)
            until(
                lambda: self.log.read_text().count("the policy was") > before,
                "the policy to be read",
                self.log,
            )


@dataclass(slots=True)
class GateHost:
    """Everything of it lies in `folder`; `address` is the tracker's."""

    folder: Path
    model: TrackerModel
    address: str
    gated: Daemon = field(init=False)
    feedd: Daemon = field(init=False)

    def __post_init__(self) -> None:
        for name in ("run", "state", "feed-state", "hooks"):
            (self.folder / name).mkdir(parents=True)
        self.gated = Daemon(
            "liftlock.processes.gated",
            (
                *("--policy", str(self.folder / "gate.toml")),
                *("--state", str(self.folder / "state"), "--run", str(self.run)),
            ),
            self.folder / "gated.log",
        )
        self.feedd = Daemon(
            "liftlock.processes.feedd",
            ("--settings", str(self.folder / "feed.toml"), "--state", str(self.folder / "feed-state")),
            self.folder / "feedd.log",
        )
        key = self.folder / "tracker.key"
        key.write_text(KEYS["BOT"])
        key.chmod(0o600)
        feed = FEED.format(run=self.run, tracker=self.address, key=key)
        (self.folder / "feed.toml").write_text(feed)
        self.set_policy(max_stale_s=900)

    @property
    def run(self) -> Path:
        """The folder of gated's sockets."""
        return self.folder / "run"

    def set_policy(self, *, max_stale_s: int) -> None:
        """Write the policy; one that runs reads it again."""
        text = POLICY.format(user=os.getuid(), tracker=self.address, max_stale_s=max_stale_s)
        (self.folder / "gate.toml").write_text(text)

    def stop(self) -> None:
        """End both processes."""
        self.feedd.stop()
        self.gated.stop()

    def source(self) -> dict[str, Any]:
        """Return what gated says of the list."""
        with GateClient(self.run) as client:
            found: dict[str, Any] = client.ask("status")["sources"]["tracker"]
        return found

    def blocks(self, bug: int) -> bool:
        """Tell whether the list says now that the bug may not land."""
        with GateClient(self.run) as client:
            [found] = client.ask("explain", repository="any", bug=bug, ref="any")["bugs"]
        return bool(found["record"] and found["record"]["blocked"])


def until(holds: Callable[[], bool], what: str, log: Path) -> float:
    """Return the seconds until it holds; raises DifferenceError with the end of the log if it never does."""
    began = time.monotonic()
    while True:
        try:
            if holds():
                return time.monotonic() - began
        except LiftlockError as error:
            last = error.message
        else:
            last = ""
        if time.monotonic() - began > START_LIMIT_S:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
            raise DifferenceError(f"waited {START_LIMIT_S:.0f} s for {what}: {last}\n{tail}")
        time.sleep(0.02)


@dataclass(frozen=True, slots=True)
class Landing:
    """How a push ended, and what the repository said."""

    landed: bool
    text: str
    seconds: float


@dataclass(frozen=True, slots=True)
class GatedRepository:
    """A repository of one kind on the host, and a clone from which is pushed."""

    name: str
    kind: str
    server: Path
    clone: Path
    home: Path

    def create(self, config: str) -> None:
        """Make both, the clone with `.taskcluster.yml`, not yet committed."""
        for folder, bare in ((self.server, ["--bare"]), (self.clone, [])):
            if self.kind == "git":
                self._run(["init", "--quiet", *bare, "--initial-branch=main", str(folder)], self.home)
            else:
                self._run(["init", str(folder)], self.home)
        (self.clone / ".taskcluster.yml").write_text(config)

    def commit(self, message: str) -> str:
        """Return the revision of a new commit."""
        with (self.clone / "ledger.txt").open("a") as file:
            file.write(message + "\n")
        if self.kind == "git":
            self._run(["add", "--all"])
            self._run(["commit", "--quiet", "--message", message])
            return self._run(["rev-parse", "HEAD"]).stdout.strip()
        self._run(
            ["commit", "--quiet", "--addremove", "--user", "Robin <robin@example.com>", "--message", message]
        )
        return self._run(["log", "-r", ".", "-T", "{node}"]).stdout.strip()

    def push(self) -> Landing:
        """Push what was committed; a rejection is an answer."""
        git = ["push", str(self.server), "HEAD:refs/heads/main"]
        began = time.monotonic()
        done = self._run(git if self.kind == "git" else ["push", str(self.server)], check=False)
        return Landing(done.returncode == 0, done.stdout, time.monotonic() - began)

    def _run(
        self, arguments: list[str], where: Path | None = None, *, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        who = {
            f"GIT_{role}_{what}": value
            for role in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", "Robin"), ("EMAIL", "robin@example.com"))
        }
        done = subprocess.run(
            [self.kind, *arguments],
            cwd=where or self.clone,
            env={
                **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
                **who,
                "HOME": str(self.home),
                "GIT_CONFIG_NOSYSTEM": "1",
                "HGRCPATH": "",
                "HGPLAIN": "1",
                "LOGNAME": "robin",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            umask=0o022,
            check=False,
        )
        if check and done.returncode:
            raise DifferenceError(
                f"{self.kind} {arguments[0]} ended with {done.returncode}: {done.stdout.strip()}"
            )
        return done
