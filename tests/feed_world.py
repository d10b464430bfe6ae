"""A tracker, feedd and gated, each of which can be ended and started, and repositories with the gate's hook."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from gate_world import GateWorld, GitPair, gate_world
from liftlock.processes.demo.tracker_answers import TrackerModel
from liftlock.processes.demo.tracker_server import KEYS, serving


class FeedWorld:
    """gated, feedd and a tracker, each of which can be ended and started."""

    def __init__(
        self, gate: GateWorld, model: TrackerModel, address: str, feed_user: int | None = None
    ) -> None:
        self.feed_user = feed_user
        self.gate = gate
        self.model = model
        self.address = address
        self.settings = gate.folder / "feed.toml"
        self.state = gate.folder / "feed-state"
        self.key = gate.folder / "tracker.key"
        self.key.write_text(KEYS["BOT"] + "\n")
        self.key.chmod(0o600)
        self.process: subprocess.Popen[bytes] | None = None
        self.configure()

    def configure(self, mode: str = "extension", more: str = "", interval_ms: int = 100) -> None:
        self.settings.write_text(
            f'version = 1\ngate = "{self.gate.run}/feed.sock"\n[source.tracker]\naddress = "{self.address}"\n'
            f'key-file = "{self.key}"\nmode = "{mode}"\ninterval-ms = {interval_ms}\n{more}\n'
        )

    def keep_secret(self, name: str, text: str) -> None:
        """Write a file that nobody else can read."""
        path = self.gate.folder / name
        path.write_text(text + "\n")
        path.chmod(0o600)

    def start(
        self, *options: str, before: tuple[str, ...] = (), environment: dict[str, str] | None = None
    ) -> None:
        identity: dict[str, Any] = {}
        if self.feed_user is not None:
            identity = {"user": self.feed_user, "group": self.feed_user, "extra_groups": []}
            self.state.mkdir(exist_ok=True, mode=0o700)
            for path in (self.state, self.key, self.settings):
                os.chown(path, self.feed_user, self.feed_user)
            self.settings.chmod(0o600)
            (self.gate.folder / "trace").touch()
            os.chown(self.gate.folder / "trace", self.feed_user, self.feed_user)
        with (self.gate.folder / "feedd.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *before,
                    *(sys.executable, "-P", "-m", "liftlock.processes.feedd"),
                    *("--settings", self.settings, "--state", self.state, *options),
                ],
                stdout=log,
                stderr=log,
                cwd="/",
                env={
                    "PATH": "/usr/bin:/bin",
                    "FEED_SECRET": "canary-of-the-environment",
                    **(environment or {}),
                },
                **identity,
            )

    @property
    def pid(self) -> int:
        """feedd's process id, also where strace has started it: with -D the tracer is the one that detaches."""
        assert self.process is not None
        return self.process.pid

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        status = self.process.wait(30)
        self.process = None
        return status

    @property
    def log(self) -> str:
        return (self.gate.folder / "feedd.log").read_text()

    def caught_up(self, times: int = 1) -> bool:
        """Tell whether feedd listens to its control plane and has looked at what came before that."""
        return self.log.count('"caught up"') >= times

    def source(self) -> dict[str, Any]:
        found: dict[str, Any] = self.gate.ask("status")["ok"]["sources"]["tracker"]
        return found

    def until(self, what: Callable[[], Any]) -> Any:
        for _ in range(600):
            if found := what():
                return found
            time.sleep(0.05)
        raise AssertionError(f"it never came:\n{self.log}\n{self.gate.log}")

    def until_known(self) -> None:
        """Wait until the gate has everything that the tracker told."""
        self.until(lambda: self.source()["seq"] == self.model.head and self.source()["ageS"] is not None)

    def snapshots(self) -> int:
        """Return how many lists the gate took, over its restarts."""
        entries = self.gate.ask("audit", kind="feed")["ok"]["entries"]
        return sum(each["outcome"] == "snapshot" for each in entries)

    def knows(self, bug: int) -> bool:
        """Tell whether the gate blocks the bug."""
        (found,) = self.gate.ask("explain", repository="widget", bug=bug, ref="refs/heads/main")["ok"]["bugs"]
        return bool(found["record"] and found["record"]["blocked"])

    def blocked(self, bug: int) -> bool:
        return not self.push(f"Bug {bug} - x. a=dveditz")

    def push(self, message: str) -> bool:
        self.pair.commit(message)
        return self.again()

    def again(self) -> bool:
        return self.pair.push().returncode == 0

    @property
    def pair(self) -> GitPair:
        if not hasattr(self, "_pair"):
            self._pair = GitPair(self.gate)
        return self._pair


@contextlib.contextmanager
def feed_world(*, gate_user: int | None = None, feed_user: int | None = None) -> Iterator[FeedWorld]:
    """Yield a world whose gated runs and whose feedd does not yet; the users: whom they run as, where the test is root."""
    with gate_world(gate_user=gate_user) as gate:
        if feed_user is not None:
            gate.feeder = str(feed_user)
            gate.set_policy("")
        gate.start()
        model = TrackerModel(now=int(time.time()))
        with serving(model) as address:
            made = FeedWorld(gate, model, address, feed_user)
            try:
                yield made
            finally:
                if made.process is not None:
                    made.process.kill()
                    made.process.wait()
