"""Slow work of the launcher, in forked children, so that one slot's clean-up never holds up another slot.

The launcher has a single thread that lives as long as it does: bubblewrap dies with the thread that forked it.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

from liftlock.adapters.sandbox.syscalls import set_dumpable
from liftlock.adapters.sandbox.users import User


@dataclass(frozen=True, slots=True)
class Chore:
    """A child at work: `watch` becomes readable when it ends; `result` holds what it returned."""

    pid: int
    watch: int
    result: int

    def finish(self) -> bytes | None:
        """Wait for the end; return what the work returned, or None if it failed. Closes the descriptors."""
        _, status = os.waitpid(self.pid, 0)
        os.close(self.watch)
        with os.fdopen(self.result, "rb") as file:
            file.seek(0)
            content = file.read()
        return content if os.waitstatus_to_exitcode(status) == 0 else None

    def abandon(self) -> None:
        """End the work."""
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(self.watch, signal.SIGKILL)
        self.finish()


def start_chore(work: Callable[[], bytes | None], user: User | None) -> Chore:
    """Run `work` in a child, as `user` if given and if we are root."""
    result = os.memfd_create("chore", os.MFD_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        _child(work, user, result)
    return Chore(pid, os.pidfd_open(pid), result)


def _child(work: Callable[[], bytes | None], user: User | None, result: int) -> None:
    """Work, write, end: this process never returns into the launcher's code."""
    code = 1
    try:
        if user is not None and os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(user.gid, user.gid, user.gid)
            os.setresuid(user.uid, user.uid, user.uid)
        set_dumpable(dumpable=True)  # else its own /proc/self/fd is root's
        view = memoryview(work() or b"")
        while view:
            view = view[os.write(result, view) :]
        code = 0
    except BaseException as error:  # noqa: BLE001 - a forked child must not unwind into its parent's code
        os.write(2, f"liftlock launcher: {error!r}\n".encode(errors="replace"))
    finally:
        os._exit(code)
