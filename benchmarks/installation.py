"""A liftlock of its own for measuring, started as a user starts it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from client import Client

from liftlock.domain.credentials.certificates import Credentials

LIFTLOCK = str(Path(sys.executable).with_name("liftlock"))


@dataclass(slots=True)
class Installation:
    """A running liftlock: its address, root credentials, process ids, and how long it took to be ready."""

    root_url: str
    credentials: Credentials
    state_dir: Path
    process: subprocess.Popen[bytes]
    ready_s: float

    def client(self) -> Client:
        """Return a new connection as the root client."""
        return Client(self.root_url, self.credentials)

    def control_plane(self) -> int:
        """Return the control plane's process id."""
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                command = (entry / "cmdline").read_bytes()
                parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[1]
                if b"liftlock.processes.control_plane" in command and int(parent) == self.process.pid:
                    return int(entry.name)
        raise RuntimeError("the control plane's process was not found")


@contextlib.contextmanager
def installation(*, workers: int = 0, arguments: tuple[str, ...] = ()) -> Iterator[Installation]:
    """Start `liftlock up` on a new state directory, yield it when it is ready, and end it."""
    with tempfile.TemporaryDirectory(prefix="liftlock-bench-") as folder:
        Path(folder).chmod(0o711)
        state_dir = Path(folder) / "state"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        began = time.perf_counter()
        command = [LIFTLOCK, "up", "--state-dir", str(state_dir), "--listen", f"127.0.0.1:{port}"]
        log = (Path(folder) / "log").open("wb")
        process = subprocess.Popen([*command, "--workers", str(workers), *arguments], stderr=log, stdout=log)
        try:
            _wait(port, process, Path(folder) / "log")
            ready_s = time.perf_counter() - began
            values = dict(
                line.split("=", 1)
                for line in (state_dir / "liftlock.env").read_text().splitlines()
                if "=" in line
            )
            credentials = Credentials(values["TASKCLUSTER_CLIENT_ID"], values["TASKCLUSTER_ACCESS_TOKEN"])
            yield Installation(f"http://127.0.0.1:{port}", credentials, state_dir, process, ready_s)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
            log.close()


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(6000):
        if process.poll() is not None:
            raise RuntimeError(f"liftlock up ended with {process.returncode}:\n{log.read_text()}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as connection:
            connection.sendall(
                b"GET /api/auth/v1/ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            )
            if b" 200 " in connection.recv(100):
                return
        time.sleep(0.01)
    raise RuntimeError("liftlock up did not get ready within a minute")


def cpu_s(pid: int) -> float:
    """Return the seconds of processor time that process `pid` has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    """Return the resident memory of process `pid` in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} tells no VmRSS")
