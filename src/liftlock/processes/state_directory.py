"""The state directory of `liftlock up`: who owns what in it, the lock, and the root client's credentials."""

from __future__ import annotations

import fcntl
import os
import re
import stat
from pathlib import Path

from liftlock.errors import InputInvalidError
from liftlock.processes.privileges import UserIds

DROP_BOX_MODE = 0o1733
ENV_FILE = "liftlock.env"
ROOT_CLIENT = "static/liftlock/root"
_LINE = re.compile(r"(?:export )?([A-Z_]+)=(.*)\Z")


def prepare(state_dir: Path) -> int:
    """Make the directory if absent, take its lock, and return the lock's descriptor (held until this process ends).

    Raises:
        InputInvalidError: it can't be made, another liftlock runs on it, or, as root, other users can't reach into it or
            it is another user's. Nothing was changed then.
    """
    if os.geteuid() == 0:
        _check_reachable(state_dir)
        _check_owned(state_dir)
    try:
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o711)
        lock = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InputInvalidError(
            f"--state-dir {state_dir}: {error.strerror}; choose one that you may write"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise InputInvalidError(
            f"--state-dir {state_dir}: another liftlock runs on it; stop that one first"
        ) from error
    if os.geteuid() == 0:
        state_dir.chmod(0o711)
        _check_reachable(state_dir)  # parents that were just made are as the umask wants them
    return lock


def _check_reachable(state_dir: Path) -> None:
    for parent in state_dir.parents:
        if parent.exists() and not parent.stat().st_mode & stat.S_IXOTH:
            raise InputInvalidError(
                f"--state-dir {state_dir}: started as root, liftlock gives each process a user of its own, and these"
                f" can't pass {parent}; choose a directory below one that all may pass, such as /var/lib/liftlock"
            )


def _check_owned(state_dir: Path) -> None:
    for path in (state_dir, state_dir / "lock", state_dir / ENV_FILE):
        if path.exists() and path.stat().st_uid != 0:
            raise InputInvalidError(
                f"--state-dir {state_dir}: {path} belongs to uid {path.stat().st_uid}; start liftlock as that user, or"
                " choose another directory for root"
            )


def own(path: Path, user: UserIds | None) -> Path:
    """Make the directory `path` (mode 0700), owned by `user` if given, with all that it holds; return it."""
    path.mkdir(mode=0o700, exist_ok=True)
    path.chmod(0o700)
    if user is not None and path.stat().st_uid != user.uid:
        for folder, _, files in os.walk(path):
            for name in ("", *files):
                os.chown(os.path.join(folder, name), user.uid, user.gid, follow_symlinks=False)
    return path


def drop_box(state_dir: Path, user: UserIds | None) -> Path:
    """Make the folder into which any pusher's hook may leave a ring and which only `user` may list; return it."""
    path = own(state_dir / "doorbell", user)
    path.chmod(DROP_BOX_MODE)
    return path


def read_environment(state_dir: Path) -> dict[str, str]:
    """Return what `liftlock.env` says; empty if it is absent."""
    try:
        text = (state_dir / ENV_FILE).read_text()
    except FileNotFoundError:
        return {}
    return {match[1]: match[2] for line in text.splitlines() if (match := _LINE.match(line.strip()))}


def write_environment(state_dir: Path, values: dict[str, str]) -> None:
    """Replace `liftlock.env` (mode 0600) as a whole."""
    target = state_dir / ENV_FILE
    fresh = state_dir / f"{ENV_FILE}.new"
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.writelines(f"{name}={value}\n" for name, value in values.items())
        out.flush()
        os.fsync(out.fileno())
    fresh.rename(target)
