"""What a process of liftlock does to itself at its start: it dies with its parent and drops its rights for good.

A child imports all it will need first and drops afterwards, so that an installation which only root can read works.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

import msgspec

from liftlock.errors import IsolationUnavailableError
from liftlock.processes.read_ahead import import_everything, readable_by_all

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38


class UserIds(msgspec.Struct, frozen=True):
    """A user to drop to, by numbers."""

    uid: int
    gid: int


def die_with_parent(parent_pid: int) -> None:
    """Ask the kernel to end this process (SIGTERM) when its parent ends, however that happens.

    To be called after `drop_to`: a change of user clears the wish. Exits at once if the parent is gone already.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent_pid:
        sys.exit("the parent process has ended")


def drop_to(user: UserIds | None) -> None:
    """Become `user` for good: no supplementary groups, no way back, no new privileges by setuid programs.

    What is still to be imported is imported now if `user` could not read it afterwards.

    Raises:
        IsolationUnavailableError: the kernel refused, or root could be regained.
    """
    if user is not None:
        if not readable_by_all():
            import_everything()
        try:
            os.setgroups([])
            os.setresgid(user.gid, user.gid, user.gid)
            os.setresuid(user.uid, user.uid, user.uid)
        except OSError as error:
            raise IsolationUnavailableError(f"can't become uid {user.uid}: {error}") from error
        try:
            os.setuid(0)
        except OSError:
            pass
        else:
            raise IsolationUnavailableError(
                f"became uid {user.uid} and could return to root: refusing to go on"
            )
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def keep_memory_private() -> None:
    """Keep other processes, of the same user too, from reading this one's memory and environment; no core dumps."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(_PR_SET_DUMPABLE, 0)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise IsolationUnavailableError(f"prctl({option}): {os.strerror(number)}")
