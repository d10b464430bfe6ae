"""The confined parser in a process of its own, with parsings that try what hostile code would try."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from liftlock.adapters.parsing import confinement
from liftlock.adapters.parsing.client import ForkedParser
from liftlock.adapters.parsing.server import serve, warm_up
from liftlock.domain.operations.parsing_samples import samples, showing_samples
from liftlock.domain.operations.parsings import PARSINGS, SHOWING
from liftlock.errors import InputValidationError

CPU_S, WALL_S, MEMORY_BYTES = 1, 2, 700 << 20
"""Limits for tests; the real ones only take longer to show."""


def _tells(act: Callable[[], object]) -> Callable[[bytes], bytes]:
    def parsing(_given: bytes) -> bytes:
        try:
            return f"done: {act()!r}".encode()
        except OSError as error:
            return f"refused: {type(error).__name__} {error.errno}".encode()

    return parsing


def _raw(number: int, *arguments: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    found: int = libc.syscall(number, *arguments)
    if found < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return found


def _write_everywhere() -> list[int]:
    """Return the descriptors that can be written to."""
    found = []
    for descriptor in range(64):
        with contextlib.suppress(OSError):
            os.write(descriptor, b"d")
            found.append(descriptor)
    return found


_libc = ctypes.CDLL(None, use_errno=True)
TRIES: Mapping[str, Callable[[], object]] = {
    "read a file": lambda: os.open("/etc/passwd", os.O_RDONLY),
    "write a file": lambda: os.open("/tmp/liftlock-escaped", os.O_WRONLY | os.O_CREAT),
    "read its own environment": lambda: os.open("/proc/self/environ", os.O_RDONLY),
    "read its parent's memory": lambda: os.open(f"/proc/{os.getppid()}/mem", os.O_RDONLY),
    "list a folder": lambda: os.listdir("/"),
    "make a socket": lambda: socket.socket(socket.AF_INET),
    "make a local socket": lambda: socket.socket(socket.AF_UNIX),
    "make a pair of sockets": socket.socketpair,
    "fork": os.fork,
    "run a program": lambda: os.execv("/bin/true", ["true"]),
    "kill its parent": lambda: os.kill(os.getpid() - 1, 0),
    "trace a process": lambda: _raw(101, 16, os.getpid() - 1, 0, 0),
    "read another's memory": lambda: _raw(310, os.getpid() - 1, 0, 0, 0, 0, 0),
    "use io_uring": lambda: _raw(425, 1, 0),
    "load a program into the kernel": lambda: _raw(321, 0, 0, 0),
    "make a namespace": lambda: _raw(272, 0x10000000),
    "change its limits": lambda: _raw(160, 7, 0),
    "take a descriptor of another process": lambda: _raw(438, 0, 0, 0),
    "change who it is": lambda: os.setuid(1),
    "duplicate a descriptor": lambda: os.dup(0),
}


def _eat(_given: bytes) -> bytes:
    kept = []
    while True:
        kept.append(bytearray(64 << 20))


def _spin(_given: bytes) -> bytes:
    while True:
        pass


def _wait(_given: bytes) -> bytes:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()
    return b""


def _answer_much(_given: bytes) -> bytes:
    return bytes(confinement.ANSWER_BYTES + 1)


def _refuse(given: bytes) -> bytes:
    raise InputValidationError(f"refused: {given!r}", rule="a-rule")


ALL: dict[str, Callable[[bytes], bytes]] = {
    **PARSINGS,
    **SHOWING,
    **{name: _tells(act) for name, act in TRIES.items()},
    "write everywhere": _tells(_write_everywhere),
    "eat memory": _eat,
    "spin": _spin,
    "wait": _wait,
    "answer much": _answer_much,
    "refuse": _refuse,
    "crash": lambda _: ctypes.string_at(0),
    "echo": lambda given: given,
}


@contextlib.contextmanager
def parsing_process() -> Iterator[ForkedParser]:
    """Yield a parser whose process ends with the block."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    with ours, theirs:
        process = subprocess.Popen(
            [sys.executable, "-c", "import parsing_process; parsing_process.main()", str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            env={"PYTHONPATH": path, "CANARY": "canary-in-the-environment"},
        )
        theirs.close()
        try:
            yield ForkedParser(ours)
        finally:
            ours.close()
            process.wait(10)


def main() -> None:
    """Serve on the descriptor that the first argument names."""
    confinement.CPU_S, confinement.WALL_S = CPU_S, WALL_S  # type: ignore[misc]
    confinement.MEMORY_BYTES = MEMORY_BYTES  # type: ignore[misc]
    warm_up(ALL, {**samples(), **showing_samples()})
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        serve(channel, ALL)
