"""Start a launcher: called by the process that has the rights, before it gives them up and meets the network."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from dataclasses import dataclass

import msgspec

from liftlock.adapters.sandbox.settings import LauncherSettings, Person
from liftlock.adapters.sandbox.users import User, Users
from liftlock.errors import SandboxFailedError

_ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


@dataclass(frozen=True, slots=True)
class SpawnedLauncher:
    """A launcher and the worker's end of the channel to it (inheritable by `pass_fds`).

    Close `channel` in every process but the worker: the launcher ends, and every sandbox with it, when the last copy
    is closed. `process` is the caller's to wait for.
    """

    channel: socket.socket
    process: subprocess.Popen[bytes]


def launcher_settings(
    users: Users,
    *,
    identity: str,
    scratch_dir: str,
    store_dir: str,
    slots: slice,
    readable: tuple[str, ...] = (),
) -> LauncherSettings:
    """Return the settings of one worker's launcher; `slots`: which of the instance's slots are this worker's."""
    return LauncherSettings(
        identity=identity,
        scratch_dir=os.path.abspath(scratch_dir),
        store_dir=os.path.abspath(store_dir),
        slots=tuple(_person(user) for user in users.slots[slots]),
        store=_person(users.store),
        worker=_person(users.worker),
        readable=tuple(os.path.abspath(path) for path in readable),
        separate=users.separate,
    )


def spawn_launcher(settings: LauncherSettings, locks: tuple[int, ...] = ()) -> SpawnedLauncher:
    """Start the launcher of `settings`; `locks` (of its slots' users) are held by it from now on.

    Makes the scratch directory, and the store with its trees, where they are absent.

    Raises:
        SandboxFailedError: a directory exists and belongs to somebody else.
    """
    _prepare_directories(settings)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        arguments = [str(theirs.fileno()), msgspec.json.encode(settings).decode()]
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", "liftlock.adapters.sandbox.launcher_main", *arguments],
            env=_ENV,
            cwd="/",
            stdin=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(), *locks),
            start_new_session=True,
        )
    return SpawnedLauncher(ours, process)


def _prepare_directories(settings: LauncherSettings) -> None:
    root = os.geteuid() == 0
    scratch_mode = 0o711 if root else 0o700
    os.makedirs(settings.scratch_dir, mode=scratch_mode, exist_ok=True)
    facts = os.stat(settings.scratch_dir, follow_symlinks=False)
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid():
        raise SandboxFailedError(f"{settings.scratch_dir} is not a directory of uid {os.geteuid()}")
    os.chmod(settings.scratch_dir, scratch_mode)
    for path in (settings.store_dir, f"{settings.store_dir}/trees"):
        os.makedirs(path, exist_ok=True)
        if root:
            os.chown(path, settings.worker.uid, settings.worker.gid, follow_symlinks=False)
        if not os.path.islink(path):
            os.chmod(path, 0o755)  # noqa: S103 - slots read what is in it, and are shown only parts


def _person(user: User) -> Person:
    return Person(user.uid, user.gid)
