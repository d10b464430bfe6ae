"""What this machine allows, found by trying: each capability, whether it is there, and how to get it if not.

Nothing is kept: the sandbox that is tried lives in a temporary directory, and no user is made.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable

import msgspec

from liftlock.adapters.sandbox.client import BubblewrapSandbox
from liftlock.adapters.sandbox.isolation import CGROUPS, SINGLE_USER, WATCHED
from liftlock.adapters.sandbox.preparing import run_to_end
from liftlock.adapters.sandbox.spawn import launcher_settings, spawn_launcher
from liftlock.adapters.sandbox.trial import check_seccomp, find_bubblewrap
from liftlock.adapters.sandbox.users import ensure_users
from liftlock.errors import IsolationUnavailableError, LiftlockError
from liftlock.ports.sandbox import MIB, DiskLimits, IsolationLevel, Limits, SandboxSpec

UNNAMED_UID = 64500  # between the ranges that distributions and systemd give away
_TOOLS = {"bsdtar": "libarchive-tools", "git": "git", "python3": "python3"}
_LIMITS = Limits(memory_bytes=256 * MIB, pids=32, cpu=1.0, file_bytes=MIB, tmp_bytes=MIB)


class Finding(msgspec.Struct, frozen=True):
    """One capability. `needed`: without it no task is run. `detail`: what was found, or how to get it."""

    name: str
    ok: bool
    needed: bool
    detail: str


class Diagnosis(msgspec.Struct, frozen=True):
    """All findings, and the isolation level if a sandbox could be started."""

    findings: tuple[Finding, ...]
    isolation: IsolationLevel | None

    @property
    def possible(self) -> bool:
        """Tell whether tasks can be run at all."""
        return self.isolation is not None and all(finding.ok for finding in self.findings if finding.needed)


async def diagnose() -> Diagnosis:
    """Try everything and return what was found."""
    findings = [
        _tried("bubblewrap", find_bubblewrap),
        _tried("system call filter", check_seccomp),
        *(_tool(name, package) for name, package in _TOOLS.items()),
        _tool("hg", "mercurial", needed=False),
    ]
    isolation = None
    if all(finding.ok for finding in findings[:2]):
        try:
            isolation = await _start_one()
            findings.append(Finding("sandbox", True, True, "a program was run in one"))
        except LiftlockError as error:
            findings.append(Finding("sandbox", False, True, error.message))
    if isolation is not None:
        findings += _levels(isolation)
    return Diagnosis(tuple(findings), isolation)


async def _start_one() -> IsolationLevel:
    """Run a command in a sandbox, with a launcher as a worker has one; return what separates it."""
    directory = tempfile.mkdtemp(prefix="liftlock-doctor-")
    try:
        users = ensure_users(directory, slots=1, first_uid=UNNAMED_UID)
        settings = launcher_settings(
            users,
            identity=f"doctor-{os.getpid()}",
            scratch_dir=f"{directory}/scratch",
            store_dir=f"{directory}/store",
            slots=slice(0, 1),
        )
        launcher = spawn_launcher(settings, users.locks)
        for lock in users.locks:
            os.close(lock)
        try:
            sandbox = await BubblewrapSandbox.connect(launcher.channel)
            try:
                await _run_one(sandbox)
                return sandbox.isolation
            finally:
                await sandbox.close()
        finally:
            await asyncio.to_thread(launcher.process.wait)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def _run_one(sandbox: BubblewrapSandbox) -> None:
    scratch = await sandbox.new_scratch(0, DiskLimits(16 * MIB, 100))
    code = "import socket; print([name for _, name in socket.if_nameindex()])"
    spec = SandboxSpec(scratch, ("python3", "-I", "-c", code), limits=_LIMITS)
    output, status = await run_to_end(await sandbox.start(spec), 60)
    if status.ok and output != "['lo']\n":
        raise IsolationUnavailableError(
            f"a sandbox sees more of the network than its own loopback: {output.strip()}"
        )
    if not status.ok:
        raise IsolationUnavailableError(f"python3 did not run in a sandbox: {output.strip()[-500:]}")


def _levels(level: IsolationLevel) -> list[Finding]:
    cgroups = [name for name in ("memory", "pids", "cpu") if not getattr(level, name).startswith("cgroup")]
    separate, bounded = level.users == "separate", level.disk == "filesystem"
    limits = f"memory {level.memory}, pids {level.pids}, cpu {level.cpu}"
    return [
        Finding("user per slot", separate, False, "each slot has its own" if separate else SINGLE_USER),
        Finding(
            "cgroup limits",
            not cgroups,
            False,
            CGROUPS.format(lacking=", ".join(cgroups)) if cgroups else limits,
        ),
        Finding(
            "disk limits", bounded, False, "scratches are file systems of their own" if bounded else WATCHED
        ),
        Finding("closed network", True, True, "only a loopback of its own"),
    ]


def _tried(name: str, attempt: Callable[[], str | None]) -> Finding:
    try:
        detail = attempt()
    except IsolationUnavailableError as error:
        return Finding(name, False, True, error.message)
    return Finding(name, True, True, _version(detail) if detail else "builds")


def _tool(name: str, package: str, *, needed: bool = True) -> Finding:
    path = f"/usr/bin/{name}"
    if os.access(path, os.X_OK):
        return Finding(name, True, needed, path)
    return Finding(
        name, False, needed, f"{path} is missing; sandboxes see /usr only: apt-get install {package}"
    )


def _version(program: str) -> str:
    with contextlib.suppress(OSError):
        done = subprocess.run([program, "--version"], capture_output=True, check=False, text=True)
        return f"{done.stdout.strip()} at {program}"
    return program
