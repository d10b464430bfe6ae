"""A private PostgreSQL server for the tests: started on first use, shared by all test processes of a run, always stopped.

`server()` gives the address of the server, `create_database()` a new empty database on it. A supervisor process owns
the server and watches the test run by a pidfd, so that even a `kill -9` of pytest leaves no server behind.
`LIFTLOCK_TEST_POSTGRES` may name a server that is already there (a superuser's dsn).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import itertools
import os
import pwd
import secrets
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

START_LIMIT_S = 60
STOP_LIMIT_S = 20
ROOM_BYTES = 2 << 30
PR_SET_PDEATHSIG = 1
_numbers = itertools.count(1)


class PostgresUnavailableError(Exception):
    """The server could not be started; the message says why and what to do."""


def binaries() -> Path:
    """Return the folder of the newest installed PostgreSQL's programs, as Debian lays them out."""
    found = [p.parent for p in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if not found:
        raise PostgresUnavailableError("PostgreSQL is not installed: run `scripts/bootstrap test`")
    return max(found, key=lambda folder: int(folder.parent.name.split(".")[0]))


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Yield the dsn of the run's server (its superuser's, database `postgres`), starting it when it is not there."""
    given = os.environ.get("LIFTLOCK_TEST_POSTGRES")
    if given:
        yield given
        return
    worker_of = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    watched = os.getppid() if worker_of else os.getpid()
    folder = _own_folder(worker_of or f"{os.getpid()}-{secrets.token_hex(4)}")
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        supervisor = None if (folder / "dsn").exists() else _supervise(folder, watched)
    try:
        yield (folder / "dsn").read_text()
    finally:
        if supervisor is not None and not worker_of:
            supervisor.terminate()
        if supervisor is not None:
            # An xdist worker leaves the server to the others: the supervisor ends with the controller.
            _settle(supervisor, STOP_LIMIT_S if not worker_of else 0)


def create_database(dsn: str, *, template: str = "template0") -> str:
    """Return the dsn of a new database, a copy of the database `template` (empty by default), on the server at `dsn`."""
    name = f"test_{os.getpid()}_{next(_numbers)}_{secrets.token_hex(3)}"
    # Copying files, without going through the log, takes a third of the time.
    _execute(dsn, f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


def drop_database(dsn: str, database_dsn: str) -> None:
    """Drop the database that `create_database` made, ending the connections that are still open on it."""
    _execute(dsn, f'DROP DATABASE IF EXISTS "{urlsplit(database_dsn).path[1:]}" WITH (FORCE)')


def _execute(dsn: str, statement: str) -> None:
    async def run() -> None:
        import asyncpg  # noqa: PLC0415  # unit tests import this module without needing the driver

        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    _in_thread(run())


def _in_thread(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run `coroutine` on a loop in a thread of its own: the test's own event loop stays as it is."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, coroutine).result()


def _fast_folder() -> Path:
    """Return a folder in memory if there is one with room: databases are made and dropped there by the hundred."""
    memory = Path("/dev/shm")
    roomy = os.access(memory, os.W_OK | os.X_OK) and shutil.disk_usage(memory).free >= ROOM_BYTES
    return memory if roomy else Path(tempfile.gettempdir())


def _own_folder(key: str) -> Path:
    """Return this run's folder; it is ours alone to write, others may pass through (the server is another user)."""
    folder = _fast_folder() / f"liftlock-postgres-{os.geteuid()}-{key}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o711)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PostgresUnavailableError(f"{folder} exists and is not a folder of ours")
    folder.chmod(0o711)
    return folder


def _supervise(folder: Path, watched: int) -> subprocess.Popen[bytes]:
    """Start the supervisor and return it once the server answers."""
    with (folder / "log").open("ab") as log:
        supervisor = subprocess.Popen(
            [sys.executable, __file__, str(folder), str(watched)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    limit = time.monotonic() + START_LIMIT_S
    while not (folder / "dsn").exists():
        if supervisor.poll() is not None or time.monotonic() > limit:
            said = (folder / "log").read_text(errors="replace") if (folder / "log").exists() else ""
            _settle(supervisor, 0)
            raise PostgresUnavailableError(
                f"PostgreSQL did not start within {START_LIMIT_S} s:\n{said[-4000:]}"
            )
        time.sleep(0.02)
    return supervisor


def _settle(supervisor: subprocess.Popen[bytes], limit_s: float) -> None:
    """Wait for the supervisor up to `limit_s`; after that forget it without Python's warning about a running child."""
    try:
        supervisor.wait(limit_s)
    except subprocess.TimeoutExpired:
        supervisor.returncode = 0


# --- the supervisor's side -------------------------------------------------------------------------------------


def _account() -> tuple[str, int] | None:
    """Return the user (name, group id) that runs the server when we are root, else None: it runs as ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return name, pwd.getpwnam(name).pw_gid
    raise PostgresUnavailableError("there is neither a user postgres nor nobody to run the server as")


def _die_with_parent() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)


def _spawn(arguments: list[str], folder: Path) -> subprocess.Popen[bytes]:
    account = _account()
    drop: dict[str, Any] = {"user": account[0], "group": account[1], "extra_groups": []} if account else {}
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": str(folder)}
    return subprocess.Popen(
        arguments,
        cwd="/",
        env=environment,
        stdin=subprocess.DEVNULL,
        preexec_fn=_die_with_parent,  # noqa: PLW1509  # the supervisor has a single thread
        **drop,
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _initialise(folder: Path) -> str:
    """Make the data folder and return the superuser's password."""
    account = _account()
    for name in ("data", "run"):
        (folder / name).mkdir(mode=0o700)
        if account:
            shutil.chown(folder / name, account[0], account[1])
    password = secrets.token_hex(16)
    secret = folder / "run" / "password"
    secret.write_text(password)
    if account:
        shutil.chown(secret, account[0], account[1])
    made = _spawn(
        [
            *(str(binaries() / "initdb"), "--no-sync", "--no-instructions", "-E", "UTF8", "--locale=C.UTF-8"),
            *("-A", "password", "-U", "liftlock", f"--pwfile={secret}", "-D", str(folder / "data")),
        ],
        folder,
    )
    if made.wait() != 0:
        raise PostgresUnavailableError(f"initdb ended with {made.returncode}")
    secret.unlink()
    return password


def _start(folder: Path, port: int) -> subprocess.Popen[bytes]:
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": str(folder / "run"),
        "max_connections": "200",
        "shared_buffers": "64MB",
        "fsync": "off",
        "full_page_writes": "off",
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "max_wal_size": "256MB",
        "log_min_messages": "warning",
        "log_min_error_statement": "panic",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return _spawn([str(binaries() / "postgres"), "-D", str(folder / "data"), *options], folder)


def _answers(port: int) -> bool:
    probe = [str(binaries() / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    return subprocess.run(probe, check=False).returncode == 0


def _start_somewhere(folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Start the server on a free port; another program may take the port first, so try a few."""
    for _ in range(5):
        port = _free_port()
        running = _start(folder, port)
        while running.poll() is None:
            if _answers(port):
                return running, port
            time.sleep(0.02)
    raise PostgresUnavailableError("the server ended five times at its start")


def _main(folder: Path, watched: int) -> None:
    parent = os.pidfd_open(watched)
    stop_read, stop_write = os.pipe()
    signal.signal(signal.SIGTERM, lambda *_: os.write(stop_write, b"."))
    try:
        password = _initialise(folder)
        running, port = _start_somewhere(folder)
        written = folder / "dsn.new"
        written.touch(mode=0o600)
        written.write_text(f"postgresql://liftlock:{password}@127.0.0.1:{port}/postgres")
        written.rename(folder / "dsn")
        select.select([parent, stop_read, os.pidfd_open(running.pid)], [], [])
        running.send_signal(signal.SIGQUIT)  # nothing in it is worth a checkpoint
        running.wait(STOP_LIMIT_S)
        shutil.rmtree(folder, ignore_errors=True)
    except BaseException:
        (folder / "dsn").unlink(missing_ok=True)
        raise


if __name__ == "__main__":
    _main(Path(sys.argv[1]), int(sys.argv[2]))
