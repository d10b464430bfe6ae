"""Try a real sandbox before any task is taken: what the kernel refuses is said then, in bubblewrap's own words."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from functools import partial

from liftlock.adapters.sandbox.bubblewrap import Plan
from liftlock.adapters.sandbox.cgroups import CgroupHost
from liftlock.adapters.sandbox.chores import start_chore
from liftlock.adapters.sandbox.disk import MIN_BYTES, Disk, clear
from liftlock.adapters.sandbox.launch import SET_UP_WITHIN_S, Launch, launch, readable
from liftlock.adapters.sandbox.seccomp import filter_program
from liftlock.adapters.sandbox.users import User
from liftlock.errors import IsolationUnavailableError
from liftlock.ports.sandbox import MIB, Limits

SEARCH = "/usr/bin:/bin:/usr/local/bin"
OLDEST = (0, 8)
USERNS_HINT = (
    "If the kernel forbids user namespaces, allow them: sysctl kernel.unprivileged_userns_clone=1, "
    "user.max_user_namespaces above 0, kernel.apparmor_restrict_unprivileged_userns=0 (or an AppArmor profile for "
    "bwrap); in a container allow unshare, mount and pivot_root"
)


def find_bubblewrap() -> str:
    """Return the path of a bubblewrap that will do, or raise IsolationUnavailableError."""
    program = shutil.which("bwrap", path=SEARCH)
    if program is None:
        raise IsolationUnavailableError(
            "bubblewrap is not installed: apt-get install bubblewrap (0.8 or later)"
        )
    if os.stat(program).st_mode & stat.S_ISUID:
        raise IsolationUnavailableError(f"{program} is setuid root; remove the bit: chmod u-s {program}")
    said = subprocess.run([program, "--version"], capture_output=True, check=False, text=True).stdout
    found = re.search(r"(\d+)\.(\d+)", said)
    if found is None or (int(found[1]), int(found[2])) < OLDEST:
        raise IsolationUnavailableError(f"{program} is {said.strip() or 'broken'}; 0.8 or later is needed")
    return program


def check_seccomp() -> None:
    """Raise IsolationUnavailableError if the system call filter can't be built."""
    try:
        filter_program()
    except (RuntimeError, OSError, ImportError) as error:
        raise IsolationUnavailableError(f"no seccomp filter: {error}; apt-get install libseccomp2") from error


def try_sandbox(program: str, disk: Disk, user: User, host: CgroupHost) -> None:
    """Run `true` in a sandbox as `user`, or raise IsolationUnavailableError with what bubblewrap said."""
    limits = Limits(memory_bytes=64 * MIB, pids=16, cpu=1.0, file_bytes=MIB, tmp_bytes=MIB)
    place = disk.make("strial", uid=user.uid, gid=user.gid, max_bytes=MIN_BYTES, max_entries=64)
    cgroup = host.create("trial", limits) if host.bases else None
    log_read, log_write = os.pipe2(os.O_CLOEXEC)
    what = Launch(
        program=program,
        plan=Plan(place.path, ("/usr/bin/true",), "/build", (), (), None, MIB),
        env={"PATH": "/usr/bin"},
        user=user,
        limits=limits,
        listeners=(),
        log=log_write,
        cgroup=cgroup,
    )
    try:
        _run(what)
    except IsolationUnavailableError as error:
        os.set_blocking(log_read, False)
        said = _read(log_read)
        raise IsolationUnavailableError(
            f"{error.message}: {said or 'no reason given'}. {USERNS_HINT}"
        ) from error
    finally:
        os.close(log_read)
        os.close(log_write)
        if cgroup is not None:
            cgroup.kill()
            cgroup.remove()
        if place.image is None:
            start_chore(partial(clear, place.path), user).finish()
        disk.remove(place)


def _run(what: Launch) -> None:
    launched = launch(what)
    readable(launched.watch, SET_UP_WITHIN_S)
    launched.kill()
    launched.wait_dead(SET_UP_WITHIN_S)
    if launched.finish() != 0:
        raise IsolationUnavailableError("the sandbox could not run a program")


def _read(descriptor: int) -> str:
    try:
        return os.read(descriptor, 4096).decode(errors="replace").strip()
    except BlockingIOError:
        return ""
