"""A liftlock of its own, started by its command line, whose processes a test may kill at any time."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import taskcluster

LIFTLOCK = str(Path(sys.executable).with_name("liftlock"))
START_LIMIT_S = 60


@dataclass(slots=True)
class Up:
    """`liftlock up` on `state_dir`; `start` again after `kill_supervisor` goes on where it was."""

    state_dir: Path
    port: int
    arguments: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def root_url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """All that its processes have written, of every start."""
        return (self.state_dir.parent / "log").read_text(errors="replace")

    def start(self) -> None:
        """Start it and return when it answers."""
        command = [LIFTLOCK, "up", "--state-dir", str(self.state_dir), "--listen", f"127.0.0.1:{self.port}"]
        with (self.state_dir.parent / "log").open("ab") as log:
            self.process = subprocess.Popen([*command, *self.arguments], stdout=log, stderr=log)
        self.wait_ready()

    def wait_ready(self) -> None:
        """Return when the control plane answers."""
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            assert self.process is not None
            assert self.process.poll() is None, self.log[-4000:]
            with (
                contextlib.suppress(OSError, urllib.error.URLError),
                urllib.request.urlopen(f"{self.root_url}/api/auth/v1/ping", timeout=5) as answer,
            ):
                if answer.status == 200:
                    return
            time.sleep(0.02)
        raise AssertionError(f"not ready within {START_LIMIT_S} s:\n{self.log[-4000:]}")

    def environment(self) -> dict[str, str]:
        """Return what `liftlock.env` says."""
        lines = (self.state_dir / "liftlock.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def options(self, **changes: Any) -> dict[str, Any]:
        """Return the official client's options for the root client; it retries as it does by default."""
        values = self.environment()
        credentials = {
            "clientId": values["TASKCLUSTER_CLIENT_ID"],
            "accessToken": values["TASKCLUSTER_ACCESS_TOKEN"],
        }
        return {"rootUrl": self.root_url, "credentials": credentials, "maxRetries": 8, **changes}

    def queue(self) -> taskcluster.Queue:
        """Return the official queue client as root."""
        return taskcluster.Queue(self.options())

    def processes(self) -> dict[int, str]:
        """Return every process of this instance by pid, with its command line: the supervisor and all below it."""
        assert self.process is not None
        children: dict[int, list[int]] = {}
        commands: dict[int, str] = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                if fields[0] != "Z":
                    commands[int(entry.name)] = (
                        (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    )
                    children.setdefault(int(fields[1]), []).append(int(entry.name))
        found: dict[int, str] = {}
        waiting = [self.process.pid]
        while waiting:
            pid = waiting.pop()
            if pid in commands:
                found[pid] = commands[pid]
            waiting.extend(children.get(pid, ()))
        return found

    def kill_one(self, choice: random.Random) -> str:
        """Kill (SIGKILL) one process of the instance, never the supervisor, and return its command line."""
        assert self.process is not None
        ours = {
            pid: command
            for pid, command in self.processes().items()
            if pid != self.process.pid and "liftlock" in command
        }
        if not ours:
            return ""
        pid = choice.choice(sorted(ours))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return ours[pid]

    def kill_supervisor(self) -> None:
        """Kill (SIGKILL) the supervisor; its children end by themselves."""
        assert self.process is not None
        below = [pid for pid in self.processes() if pid != self.process.pid]
        self.process.kill()
        self.process.wait()
        deadline = time.monotonic() + 30
        while any(_alive(pid) for pid in below):
            assert time.monotonic() < deadline, "children outlived their supervisor by 30 s"
            time.sleep(0.05)

    def stop(self) -> None:
        """End it by SIGTERM."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(60) == 0, self.log[-4000:]


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@contextlib.contextmanager
def up(*arguments: str) -> Iterator[Up]:
    """Start `liftlock up` in a new folder that every user may pass (pytest's own are closed), yield it, and end it."""
    with tempfile.TemporaryDirectory(prefix="liftlock-test-") as folder, socket.socket() as probe:
        os.chmod(folder, 0o711)
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        running = Up(Path(folder) / "state", port, arguments)
        try:
            running.start()
            yield running
        finally:
            running.stop()
