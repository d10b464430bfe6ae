"""What a parsing process gives up before it sees a byte: every system call but those of computing on what it has.

Source: seccomp(2), setrlimit(2)
"""

from __future__ import annotations

import errno
import importlib
import resource
import signal
from typing import Final

from liftlock.errors import IsolationUnavailableError

MEMORY_BYTES: Final = 2 << 30
"""Address space, most of it the interpreter's own mappings."""
ANSWER_BYTES: Final = 64 << 20
CPU_S: Final = 30
WALL_S: Final = 60
_ALLOWED: Final = (
    "read",
    "write",
    "lseek",
    "fstat",
    "newfstatat",
    "close",
    "brk",
    "mmap",
    "munmap",
    "mremap",
    "madvise",
    "futex",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sigaltstack",
    "clock_gettime",
    "getrandom",
    "getpid",
    "gettid",
    "sched_yield",
    "exit",
    "exit_group",
    "restart_syscall",
)
"""Everything else is answered with EPERM: no file is opened, no program started, no socket made, no process touched."""


def limit() -> None:
    """Bound memory, time and what may be written, for good."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_FSIZE, (ANSWER_BYTES, ANSWER_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, WALL_S)


def load_library() -> None:
    """Import what `compute_only` needs, while files can still be opened.

    Raises:
        IsolationUnavailableError: libseccomp is not there.
    """
    try:
        importlib.import_module("pyseccomp")
    except (ImportError, RuntimeError, OSError) as error:
        raise IsolationUnavailableError(f"libseccomp is not there: {error}") from error


def compute_only() -> None:
    """Allow this process to compute, and to read and write what is open, for good.

    Raises:
        IsolationUnavailableError: the kernel refused; nothing was given up.
    """
    sc = importlib.import_module("pyseccomp")
    try:
        program = sc.SyscallFilter(sc.ERRNO(errno.EPERM))
        for name in _ALLOWED:
            program.add_rule(sc.ALLOW, name)
        program.load()
    except (OSError, RuntimeError, ValueError) as error:
        raise IsolationUnavailableError(f"seccomp: {error}") from error
