"""A PostgreSQL server for measuring: on disk, with its settings for durability as they are by default."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from installation import cpu_s

from postgres import binaries

USER = "postgres"
SETTINGS = {"shared_buffers": "256MB", "max_wal_size": "2GB", "listen_addresses": "127.0.0.1"}
"""What is not the default; fsync, full_page_writes and synchronous_commit stay on."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: the address of an empty database, its version, and its first process."""

    dsn: str
    version: str
    pid: int

    def cpu_s(self) -> float:
        """Return the seconds of processor time that all its processes have used so far."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        total = 0.0
        for pid in (self.pid, *map(int, children)):
            with contextlib.suppress(OSError):
                total += cpu_s(pid)
        return total


@contextlib.contextmanager
def server() -> Iterator[Server]:
    """Yield a new server in a temporary folder, and end it."""
    with tempfile.TemporaryDirectory(prefix="liftlock-bench-postgres-") as name:
        folder = Path(name)
        account = USER if os.geteuid() == 0 else None  # the server refuses to run as root
        if account:
            shutil.chown(folder, account)
        programs, data = binaries(), folder / "data"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        initdb: list[str | Path] = [
            programs / "initdb",
            "-A",
            "trust",
            "-U",
            USER,
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "-D",
            data,
        ]
        subprocess.run(initdb, check=True, capture_output=True, cwd="/", user=account)
        settings = SETTINGS | {"port": str(port), "unix_socket_directories": name}
        command: list[str | Path] = [
            programs / "postgres",
            "-D",
            data,
            *(f"--{key}={value}" for key, value in settings.items()),
        ]
        process = subprocess.Popen(command, cwd="/", stderr=subprocess.DEVNULL, user=account)
        try:
            ready: list[str | Path] = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
            while subprocess.run(ready, check=False).returncode != 0:
                time.sleep(0.05)
            version = subprocess.check_output([programs / "postgres", "--version"], text=True).split()[2]
            yield Server(f"postgresql://{USER}@127.0.0.1:{port}/postgres", version, process.pid)
        finally:
            process.terminate()
            process.wait(60)
