"""Users: one for each process and each slot, so that none can touch what belongs to another.

As root, system users are made once (`liftlock-control`, `liftlock-worker`, `liftlock-store`, `liftlock-privileged`, `liftlock-slot-N`). A slot's
user is held by a lock for as long as its launcher lives: no two slots of any two instances on a machine share one,
and every process of that user is a leftover. As an ordinary user everything is that user.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass

from liftlock.adapters.sandbox.syscalls import set_dumpable
from liftlock.errors import IsolationUnavailableError

RUN_DIR = "/run/liftlock"
MAX_SLOTS = 512
CONTROL, WORKER, STORE, SLOT = "liftlock-control", "liftlock-worker", "liftlock-store", "liftlock-slot-"
PRIVILEGED = "liftlock-privileged"
WITNESS = "liftlock-witness"


@dataclass(frozen=True, slots=True)
class User:
    """A user id and its group id."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Users:
    """Who runs what. `locks`: descriptors that hold the slots' users, one per slot; empty if `separate` is False."""

    separate: bool
    control: User
    worker: User
    store: User
    slots: tuple[User, ...]
    locks: tuple[int, ...] = ()


def ensure_users(state_dir: str, *, slots: int, first_uid: int | None = None) -> Users:
    """Return the users of an instance with `slots` slots, made where they are missing.

    As root `state_dir` is given to root with mode 0711: each process finds its own directory in it and lists nothing.

    Args:
        first_uid: Take uids from here on without names (containers whose user database is read-only).
    Raises:
        IsolationUnavailableError: users can't be made; the message says how to provide them.
    """
    if os.geteuid() != 0:
        me = User(os.geteuid(), os.getegid())
        os.makedirs(state_dir, mode=0o700, exist_ok=True)
        return Users(False, me, me, me, (me,) * slots)
    os.makedirs(state_dir, exist_ok=True)
    os.chown(state_dir, 0, 0)
    os.chmod(state_dir, 0o711)  # noqa: S103 - each finds its own, nobody lists
    found: list[User] = []
    locks: list[int] = []
    for number in range(MAX_SLOTS):
        if len(found) == slots:
            break
        lock = _lock(f"{SLOT}{number}")
        if lock is not None:
            found.append(_user(f"{SLOT}{number}", first_uid, 3 + number))
            locks.append(lock)
    if len(found) < slots:
        raise IsolationUnavailableError(
            f"all {MAX_SLOTS} slot users of this machine are in use; give fewer workers"
        )
    named = [_user(name, first_uid, offset) for offset, name in enumerate((CONTROL, WORKER, STORE))]
    return Users(True, named[0], named[1], named[2], tuple(found), tuple(locks))


def ensure_privileged(users: Users, *, first_uid: int | None = None) -> User | None:
    """Return the privileged worker's user, made if it is missing; None: there is one user for everything.

    Raises:
        IsolationUnavailableError: it can't be made.
    """
    return _user(PRIVILEGED, first_uid, MAX_SLOTS + 3) if users.separate else None


def ensure_witness(users: Users, *, first_uid: int | None = None) -> User | None:
    """Return the user of the audit log's witness, made if it is missing; None: there is one user for everything.

    Raises:
        IsolationUnavailableError: it can't be made.
    """
    return _user(WITNESS, first_uid, MAX_SLOTS + 4) if users.separate else None


def drop_to(user: User) -> None:
    """Become `user` for good: no groups, no way back, not readable by others of that user.

    Raises:
        IsolationUnavailableError: the process is still root afterwards.
    """
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(user.gid, user.gid, user.gid)
        os.setresuid(user.uid, user.uid, user.uid)
    if 0 in os.getresuid() or 0 in os.getresgid():
        raise IsolationUnavailableError("this process is still root after giving it up")
    set_dumpable(dumpable=False)


def run_directory() -> str:
    """Return `RUN_DIR`, made where it is absent: root's, all may pass through it and none may list it."""
    os.makedirs(RUN_DIR, exist_ok=True)
    os.chmod(RUN_DIR, 0o711)  # noqa: S103 - whatever the umask is
    return RUN_DIR


def _lock(name: str) -> int | None:
    """Return a descriptor that holds `name` on this machine until it is closed everywhere; None: it is held."""
    run_directory()
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(f"{RUN_DIR}/{name}.lock", flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _user(name: str, first_uid: int | None, offset: int) -> User:
    if first_uid is not None:
        return User(first_uid + offset, first_uid + offset)
    with contextlib.suppress(KeyError):
        return _known(name)
    tool = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    said = "useradd is not installed"
    if tool is not None:
        # Two instances may start at once: who comes second finds the name taken, and the user there.
        command = [tool, "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
        done = subprocess.run(
            [*command, "--shell", "/usr/sbin/nologin", name], capture_output=True, check=False, text=True
        )
        said = done.stderr.strip() or f"useradd ended with {done.returncode}"
        with contextlib.suppress(KeyError):
            return _known(name)
    raise IsolationUnavailableError(
        f"the user {name} is missing and cannot be made: {said}. Make it, give a range of unused uids, or run as an "
        "ordinary user"
    )


def _known(name: str) -> User:
    entry = pwd.getpwnam(name)
    if entry.pw_uid == 0 or entry.pw_gid == 0:
        raise IsolationUnavailableError(f"the user {name} is root; a slot never is")
    return User(entry.pw_uid, entry.pw_gid)
