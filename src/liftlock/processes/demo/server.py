"""The demo's own `liftlock up`, started as anybody would start it."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from liftlock.cli.profiles import Profile
from liftlock.processes import state_directory
from liftlock.processes.demo.report import DifferenceError

COMMAND = (sys.executable, "-P", "-c", "from liftlock.cli.main import main; main()")
"""The command `liftlock` of this very installation, wherever the shell would find another."""
READY_LIMIT_S = 60.0
STOP_LIMIT_S = 30.0
WORKERS = 2
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(slots=True)
class Server:
    """`liftlock up` on `state_dir`; its output is collected in `log`.

    `outlive`: leave it running when the demo ends.
    """

    state_dir: Path
    listen: str
    policy: Path
    pool_policy: Path
    wheelhouse: Path
    log: Path
    outlive: bool
    integrations: Path
    operations: Path
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> float:
        """Start it and wait until it answers; return the seconds that this took.

        Raises:
            DifferenceError: it ended or did not answer in time.
        """
        began = time.monotonic()
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [*COMMAND, *self.arguments()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=None if self.outlive else _die_with_parent,  # noqa: PLW1509 - this process has one thread
            )
        while not self._answers():
            if self.process.poll() is not None:
                raise DifferenceError(f"liftlock up ended with status {self.process.returncode}")
            if time.monotonic() - began > READY_LIMIT_S:
                raise DifferenceError(f"liftlock up did not answer within {READY_LIMIT_S:.0f} s")
            time.sleep(0.05)
        # From now on it keeps its address, so that what people wrote down stays right after a restart.
        self.listen = self.root().root_url.removeprefix("http://")
        return time.monotonic() - began

    def arguments(self) -> list[str]:
        """Return the arguments of the command `liftlock`."""
        return [
            "up",
            *("--state-dir", str(self.state_dir)),
            *("--listen", self.listen),
            *("--workers", str(WORKERS)),
            *("--policy", str(self.policy)),
            *("--pool-policy", str(self.pool_policy)),
            *("--operations", str(self.operations)),
            *("--wheelhouse", str(self.wheelhouse)),
            *("--integrations", str(self.integrations)),
        ]

    def root(self) -> Profile:
        """Return the root client's credentials, as `liftlock.env` says them."""
        values = state_directory.read_environment(self.state_dir)
        return Profile(
            values["TASKCLUSTER_ROOT_URL"],
            values["TASKCLUSTER_CLIENT_ID"],
            values["TASKCLUSTER_ACCESS_TOKEN"],
        )

    def stop(self) -> None:
        """End it with SIGTERM, and by force if that is not enough."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def kill_control_plane(self) -> int:
        """Kill the control plane with SIGKILL, as a crash would; return its process id."""
        if self.process is None:
            raise DifferenceError("liftlock up is not running")
        for pid in _children(self.process.pid):
            if "liftlock.processes.control_plane" in _command_line(pid):
                os.kill(pid, signal.SIGKILL)
                return pid
        raise DifferenceError(
            f"liftlock up (process {self.process.pid}) has no control plane among its children"
        )

    def wait_until_it_answers(self) -> None:
        """Return when it answers again, or raise DifferenceError if it does not in time."""
        began = time.monotonic()
        while not self._answers():
            if time.monotonic() - began > READY_LIMIT_S:
                raise DifferenceError(f"the control plane did not come back within {READY_LIMIT_S:.0f} s")
            time.sleep(0.05)

    def log_tail(self, lines: int = 40) -> str:
        """Return the last lines of its output."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _answers(self) -> bool:
        try:
            url = f"{self.root().root_url}/api/auth/v1/ping"
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(url, timeout=2) as answer:
                return bool(answer.status == 200)
        except (KeyError, OSError, urllib.error.URLError):
            return False


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _children(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == parent:
                found.append(int(entry.name))
    return found


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
