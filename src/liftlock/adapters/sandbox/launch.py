"""Start one sandbox: fork, enter the cgroup, give up rights, become bubblewrap; then open its network and let it go.

Source: docs/explanation/sandbox.md
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import select
import signal
import struct
import termios
import time
from dataclasses import dataclass, field

from liftlock.adapters.sandbox.bubblewrap import Plan, arguments, environment
from liftlock.adapters.sandbox.cgroups import Cgroup
from liftlock.adapters.sandbox.netns import settle
from liftlock.adapters.sandbox.seccomp import filter_program
from liftlock.adapters.sandbox.syscalls import set_dumpable, set_parent_death_signal
from liftlock.adapters.sandbox.users import User
from liftlock.errors import IsolationUnavailableError, MalformedPayloadError, SandboxFailedError
from liftlock.ports.sandbox import Limits, Listener
from liftlock.values.json import decode

SET_UP_WITHIN_S = 15.0
_FIRST_INHERITED = 10  # numbers below are the standard streams and room for bubblewrap's own
_OWN_PROCESSES = 2  # bubblewrap's own, inside and outside
_OOM_SCORE = "600"  # tasks go first when the whole machine is out of memory


@dataclass(frozen=True, slots=True)
class Launch:
    """All that one launch needs, checked: `user` is never root."""

    program: str
    plan: Plan
    env: dict[str, str]
    user: User
    limits: Limits
    listeners: tuple[Listener, ...]
    log: int
    cgroup: Cgroup | None
    terminal: bool = False
    """`log` is a terminal: it becomes the session's own, and stdin as well."""


@dataclass(slots=True)
class Launched:
    """A started sandbox: bubblewrap outside (`pid`), PID 1 inside (`init`), each with a descriptor that tells its end."""

    pid: int
    watch: int
    init: int
    init_watch: int
    status: int
    started: bool
    sockets: list[int] = field(default_factory=list)

    def kill(self) -> None:
        """End PID 1 of the sandbox, with which its whole process namespace ends, and bubblewrap outside."""
        for watch in (self.init_watch, self.watch):
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(watch, signal.SIGKILL)

    def wait_dead(self, within_s: float) -> None:
        """Return once nothing of the process namespace lives, or raise SandboxFailedError."""
        for watch in (self.init_watch, self.watch):
            if not readable(watch, within_s):
                raise SandboxFailedError(f"process {self.pid} of a sandbox does not die")

    def finish(self) -> int:
        """Return the command's exit code, 128 + n if signal n ended it, and close everything; all is dead.

        bubblewrap tells nothing if the command could not be executed, or if it was killed itself: then it is its own.
        """
        told = self._told()
        reaped, status = os.waitpid(self.pid, os.WNOHANG)
        own = os.waitstatus_to_exitcode(status) if reaped else -signal.SIGKILL
        for descriptor in (self.watch, self.init_watch, self.status, *self.sockets):
            os.close(descriptor)
        self.sockets.clear()
        if told is not None:
            return told
        return own if own >= 0 else 128 - own

    def _told(self) -> int | None:
        os.set_blocking(self.status, False)
        with contextlib.suppress(OSError):
            for line in os.read(self.status, 65536).splitlines():
                code = _field(line, "exit-code")
                if code is not None:
                    return code
        return None


def launch(what: Launch) -> Launched:
    """Start `what` and return once its command runs, or once bubblewrap gave up (`started` False; the log says why).

    Raises:
        IsolationUnavailableError: bubblewrap ended before it had made the namespaces.
        SandboxFailedError: the set-up hung, or a listener could not be made.
    """
    if what.user.uid == 0 or what.user.gid == 0:
        raise SandboxFailedError("a sandbox is never started as root")
    status_read, status_write = os.pipe2(os.O_CLOEXEC)
    block_read, block_write = os.pipe2(os.O_CLOEXEC)
    inherited = _Inherited()
    try:
        seccomp = inherited.data(filter_program())
        status, block = inherited.add(status_write), inherited.add(block_read)
        options = arguments(
            what.plan, inherited.data, seccomp=seccomp, status=status, block=block, terminal=what.terminal
        )
        options += environment(what.env)
        args = inherited.data(b"".join(os.fsencode(option) + b"\0" for option in options))
        command = [what.program, "--args", str(args), "--", *what.plan.argv]
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _child(what, command, inherited, parent)
    finally:
        inherited.close()
        os.close(status_write)
        os.close(block_read)
    watch = os.pidfd_open(pid)
    try:
        return _set_up(what, pid, watch, status_read, block_write)
    except BaseException:
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(watch, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(watch)
        os.close(status_read)
        raise
    finally:
        os.close(block_write)


def readable(descriptor: int, within_s: float) -> bool:
    """Tell whether `descriptor` can be read, or its process has ended, within so long."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(max(0.0, within_s) * 1000))


def _set_up(what: Launch, pid: int, watch: int, status: int, block: int) -> Launched:
    deadline = time.monotonic() + SET_UP_WITHIN_S
    init = _read_init(status, deadline)
    if init is None:
        raise IsolationUnavailableError("bubblewrap could not make the namespaces")
    init_watch = os.pidfd_open(init)
    launched = Launched(pid, watch, init, init_watch, status, started=False)
    try:
        processes = what.limits.pids + _OWN_PROCESSES
        launched.sockets = settle(init, what.user, processes=processes, listeners=what.listeners)
        launched.started = _release(block, watch, deadline)
    except BaseException:
        launched.kill()
        launched.wait_dead(SET_UP_WITHIN_S)
        os.close(init_watch)
        raise
    return launched


def _read_init(status: int, deadline: float) -> int | None:
    """Return the process id of PID 1 of the sandbox, seen from here; None: bubblewrap ended first."""
    line = b""
    while b"\n" not in line:
        if not readable(status, deadline - time.monotonic()):
            raise SandboxFailedError("bubblewrap did not start in time")
        chunk = os.read(status, 4096)
        if not chunk:
            return None
        line += chunk
    return _field(line.splitlines()[0], "child-pid")


def _release(block: int, watch: int, deadline: float) -> bool:
    """Let the command run. True once bubblewrap took the byte (all is mounted); False: it ended without."""
    os.write(block, b"x")
    poll = select.poll()
    poll.register(block, 0)  # POLLERR comes when the last reader has closed its end
    poll.register(watch, select.POLLIN)
    if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        raise SandboxFailedError("bubblewrap did not finish its mounts in time")
    unread = struct.unpack("i", fcntl.ioctl(block, termios.FIONREAD, b"\0\0\0\0"))[0]
    return bool(unread == 0)


def _child(what: Launch, command: list[str], inherited: _Inherited, parent: int) -> None:
    """Become bubblewrap. Never returns."""
    try:
        os.setsid()
        if what.terminal:
            fcntl.ioctl(what.log, termios.TIOCSCTTY, 0)
            os.dup2(what.log, 0)
        else:
            os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        os.dup2(what.log, 1)
        os.dup2(what.log, 2)
        inherited.place()
        if what.cgroup is not None:
            what.cgroup.enter()
        set_dumpable(dumpable=True)  # else the next file is root's
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write(_OOM_SCORE)
        bounded = what.cgroup is not None and "memory" in what.cgroup.directories
        _limit(what.limits, bounded=bounded)
        _become(what.user, parent)
        os.umask(0o022)
        os.chdir("/")
        _reset_signals()
        os.execve(command[0], command, {})  # noqa: S606 - the point: no shell
    except BaseException as error:  # noqa: BLE001 - a forked child must not unwind into its parent's code
        os.write(2, f"liftlock: the sandbox was not started: {error}\n".encode(errors="replace"))
    finally:
        os._exit(127)


def _become(user: User, parent: int) -> None:
    """Be `user` for good, and end with the launcher: should it be gone already, refuse."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(user.gid, user.gid, user.gid)
        os.setresuid(user.uid, user.uid, user.uid)
    if 0 in os.getresuid() or 0 in os.getresgid():
        raise SandboxFailedError("still root")
    set_parent_death_signal(signal.SIGKILL)
    if os.getppid() != parent:
        raise SandboxFailedError("the launcher is gone")


def _reset_signals() -> None:
    """Python ignores two signals, and what is ignored stays so after exec: pipelines would misbehave."""
    for number in (
        signal.SIGPIPE,
        signal.SIGXFSZ,
        signal.SIGINT,
        signal.SIGTERM,
        signal.SIGHUP,
        signal.SIGCHLD,
    ):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _limit(limits: Limits, *, bounded: bool) -> None:
    """Set resource limits: always those of a process, and, without a cgroup, memory as far as they can."""
    wanted = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_MEMLOCK, 8 << 20),
        (resource.RLIMIT_MSGQUEUE, 1 << 20),
        (resource.RLIMIT_RTPRIO, 0),
        (resource.RLIMIT_NICE, 0),
    ]
    if not bounded:
        wanted.append((resource.RLIMIT_DATA, limits.memory_bytes))
    for kind, most in wanted:
        hard = resource.getrlimit(kind)[1]
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (value, value))


def _field(line: bytes, name: str) -> int | None:
    try:
        found = decode(line, what="status")
    except MalformedPayloadError:
        return None
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, int) else None


class _Inherited:
    """Descriptors that the launched program gets, under numbers known before it is forked."""

    def __init__(self) -> None:
        self._sources: list[int] = []
        self._owned: list[int] = []

    def add(self, descriptor: int) -> int:
        """Return the number that `descriptor` will have in the program."""
        self._sources.append(descriptor)
        return _FIRST_INHERITED + len(self._sources) - 1

    def data(self, content: bytes) -> int:
        """Return the number under which the program reads `content`."""
        descriptor = os.memfd_create("data", os.MFD_CLOEXEC)
        self._owned.append(descriptor)
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
        return self.add(descriptor)

    def place(self) -> None:
        """In the forked child: give every descriptor its number and close all others but the standard streams."""
        high = [
            fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, _FIRST_INHERITED + len(self._sources))
            for source in self._sources
        ]
        for number, source in enumerate(high, start=_FIRST_INHERITED):
            os.dup2(source, number, inheritable=True)
        os.closerange(3, _FIRST_INHERITED)
        os.closerange(_FIRST_INHERITED + len(self._sources), os.sysconf("SC_OPEN_MAX"))

    def close(self) -> None:
        """In the launcher: close what `data` made."""
        for descriptor in self._owned:
            os.close(descriptor)
