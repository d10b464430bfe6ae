"""A process gives up, for good, what it will never need: starting programs, and reaching out.

Source: docs/reference/gate.md#confinement; seccomp(2)
"""

from __future__ import annotations

import errno
from typing import Final

from liftlock.errors import IsolationUnavailableError

AF_UNIX: Final = 1
_DENIED: Final = (
    "execve",
    "execveat",
    "connect",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "bpf",
    "mount",
    "setns",
)


def serve_only() -> None:
    """Let this process and its threads accept connections at most: no `connect`, no network socket, no program.

    Raises:
        IsolationUnavailableError: the kernel or libseccomp is not there; nothing was given up.
    """
    try:
        import pyseccomp as sc  # noqa: PLC0415 -- its import fails where libseccomp is absent
    except (ImportError, RuntimeError, OSError) as error:
        raise IsolationUnavailableError(f"libseccomp is not there: {error}") from error
    try:
        program = sc.SyscallFilter(sc.ALLOW)
        for name in _DENIED:
            program.add_rule(sc.ERRNO(errno.EPERM), name)
        for call in ("socket", "socketpair"):
            program.add_rule(sc.ERRNO(errno.EAFNOSUPPORT), call, sc.Arg(0, sc.NE, AF_UNIX))
        # io_uring could connect without the call: 425 is io_uring_setup on every architecture.
        program.add_rule(sc.ERRNO(errno.EPERM), 425)
        program.load()
    except (OSError, RuntimeError, ValueError) as error:
        raise IsolationUnavailableError(f"seccomp: {error}") from error
