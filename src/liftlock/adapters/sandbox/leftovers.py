"""What a launcher that was killed left behind: found by name, dead for certain, and removed.

The launcher's directory is locked by who uses it. Whoever gets the lock knows that the previous launcher is gone,
and then that its sandboxes are: by their cgroups, by their users (which no one else has), and by their process ids
with the time at which each began.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterable

from liftlock.adapters.sandbox.cgroups import DEAD_WITHIN_S, CgroupHost, kill_all, remove_all
from liftlock.adapters.sandbox.disk import Disk, Place
from liftlock.errors import SandboxFailedError

LOCK_WITHIN_S = 30.0
_POLL_S = 0.02


def hold(directory: str) -> int:
    """Return a descriptor that holds `directory` for this launcher, until it is closed.

    Raises:
        SandboxFailedError: another launcher uses it and does not end.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(f"{directory}/lock", flags, 0o600)
    deadline = time.monotonic() + LOCK_WITHIN_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise SandboxFailedError(f"{directory} is in use by another launcher") from error
            time.sleep(_POLL_S)
        else:
            return descriptor


def reap(host: CgroupHost, directory: str, users: Iterable[int]) -> None:
    """End every process of earlier sandboxes and return when none is left. `users`: uids that only slots have."""
    cgroups = host.leftovers()
    kill_all(cgroups)
    remove_all(cgroups)
    _kill_users(frozenset(users))
    records = f"{directory}/pids"
    os.makedirs(records, mode=0o700, exist_ok=True)
    for entry in list(os.scandir(records)):
        _kill_recorded(entry.path)
        os.unlink(entry.path)


def remove_scratches(disk: Disk, clear: Callable[[Place], None]) -> None:
    """Remove every scratch of an earlier launcher; `clear` empties a directory with its owner's rights."""
    for place in disk.leftovers():
        if place.image is None:
            clear(place)
            os.rmdir(place.path)
        else:
            os.unlink(place.image)


def record(directory: str, name: str, pids: Iterable[int]) -> str:
    """Note the processes of a sandbox; return the note's path."""
    path = f"{directory}/pids/{name}"
    lines = [f"{pid} {began}\n" for pid in pids if (began := _began(pid)) is not None]
    with open(path, "w", encoding="ascii") as file:
        file.writelines(lines)
    return path


def _kill_recorded(path: str) -> None:
    with open(path, encoding="ascii") as file:
        pairs = [line.split() for line in file.read().splitlines()]
    for pid, began in ((int(pair[0]), pair[1]) for pair in pairs if len(pair) == 2 and pair[0].isdigit()):
        _end(pid, began)


def _kill_users(users: frozenset[int]) -> None:
    if not users:
        return
    deadline = time.monotonic() + DEAD_WITHIN_S
    while living := [pid for pid in _all_processes() if _owner(pid) in users and _began(pid) is not None]:
        for pid in living:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise SandboxFailedError(f"processes {living[:5]} of a slot's user do not die")
        time.sleep(_POLL_S)


def _end(pid: int, began: str) -> None:
    deadline = time.monotonic() + DEAD_WITHIN_S
    while _began(pid) == began:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise SandboxFailedError(f"process {pid} of a sandbox does not die")
        time.sleep(_POLL_S)


def _all_processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _owner(pid: int) -> int | None:
    # The directory's owner is root for a process that may not be looked into, so ask for its credentials.
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("Uid:"):
                    return int(line.split()[1])
    except OSError:
        pass
    return None


def _began(pid: int) -> str | None:
    """Return when the process began, in ticks since boot; None: it is gone, or only waits to be reaped."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]
