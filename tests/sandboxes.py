"""Real sandboxes for tests: a launcher as root with a user per slot, and one as an ordinary user.

Nothing here is skipped: where the kernel refuses a sandbox, `connect` fails and so does the test.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from liftlock.adapters.sandbox.client import BubblewrapSandbox
from liftlock.adapters.sandbox.preparing import run_to_end
from liftlock.adapters.sandbox.settings import LauncherSettings, Person
from liftlock.adapters.sandbox.spawn import SpawnedLauncher, launcher_settings, spawn_launcher
from liftlock.adapters.sandbox.users import ensure_users
from liftlock.ports.sandbox import MIB, DiskLimits, ExitStatus, Limits, SandboxSpec, Scratch

ORDINARY_UID = 61234
KINDS = ("root", "ordinary") if os.geteuid() == 0 else ("ordinary",)
SMALL = Limits(memory_bytes=512 * MIB, pids=64, cpu=2.0, file_bytes=256 * MIB, tmp_bytes=16 * MIB)
KEPT = ("lock", "pids", "mounts", "caches", "mounts-caches")
"""What a launcher leaves in its directory; the caches have a test of their own."""
SMALL_DISK = DiskLimits(max_bytes=64 * MIB, max_entries=5000)


@dataclass(slots=True)
class Machine:
    """A sandbox adapter with its launcher; `store` is where tests put what they bind."""

    kind: str
    sandbox: BubblewrapSandbox
    launcher: SpawnedLauncher
    directory: Path
    settings: LauncherSettings
    scratches: dict[int, Scratch] = field(default_factory=dict)

    @property
    def store(self) -> Path:
        return Path(self.settings.store_dir)

    def put(self, name: str, content: bytes) -> str:
        """Put a file into the store; return its path."""
        path = self.store / name
        path.write_bytes(content)
        path.chmod(0o444)
        return str(path)

    async def scratch(self, slot: int = 0, disk: DiskLimits = SMALL_DISK) -> Scratch:
        """A fresh scratch of the slot."""
        self.scratches[slot] = await self.sandbox.new_scratch(slot, disk)
        return self.scratches[slot]

    def spec(self, *argv: str, slot: int = 0, limits: Limits = SMALL, **further: object) -> SandboxSpec:
        return SandboxSpec(self.scratches[slot], argv, limits=limits, **further)  # type: ignore[arg-type]

    async def run(
        self, *argv: str, slot: int = 0, limits: Limits = SMALL, timeout_s: float = 60.0, **further: object
    ) -> tuple[str, ExitStatus]:
        """Run a command to its end over the slot's scratch, made if there is none yet."""
        if slot not in self.scratches:
            await self.scratch(slot)
        running = await self.sandbox.start(self.spec(*argv, slot=slot, limits=limits, **further))
        return await run_to_end(running, timeout_s)

    async def python(self, code: str, *arguments: str, **further: object) -> str:
        """Run Python code inside; return what it printed. It must end well."""
        output, status = await self.run("python3", "-I", "-c", code, *arguments, **further)  # type: ignore[arg-type]
        assert status.ok, f"{status}: {output}"
        return output

    async def shell(self, script: str, **further: object) -> str:
        """Run a shell script inside; return what it printed. It must end well."""
        output, status = await self.run("sh", "-ec", script, **further)  # type: ignore[arg-type]
        assert status.ok, f"{status}: {output}"
        return output


def identity_of(directory: Path) -> str:
    return f"{directory.parent.name}-{directory.name}".removeprefix("liftlock-sandbox-").replace("_", "-")


def start_launcher(
    kind: str, directory: Path, *, slots: int = 2, **further: object
) -> tuple[SpawnedLauncher, LauncherSettings]:
    """A launcher of `kind` on `directory`, whose state it goes on with if it was there before."""
    where = {"scratch_dir": str(directory / "scratch"), "store_dir": str(directory / "store")}
    if kind == "root":
        users = ensure_users(str(directory), slots=slots)
        settings = launcher_settings(
            users, identity=identity_of(directory), slots=slice(0, slots), **where, **further
        )  # type: ignore[arg-type]
        launcher = spawn_launcher(settings, users.locks)
        for lock in users.locks:
            os.close(lock)
        return launcher, settings
    uid = ORDINARY_UID if os.geteuid() == 0 else os.geteuid()
    me = Person(uid, uid if os.geteuid() == 0 else os.getegid())
    settings = LauncherSettings(
        identity=identity_of(directory), slots=(me,) * slots, store=me, worker=me, **where, **further
    )  # type: ignore[arg-type]
    return _spawn_as(me, settings), settings


def _spawn_as(person: Person, settings: LauncherSettings) -> SpawnedLauncher:
    """What an ordinary user's `spawn_launcher` does, done by root for it."""
    if os.geteuid() != 0:
        return spawn_launcher(settings)
    for path in (settings.scratch_dir, settings.store_dir, f"{settings.store_dir}/trees"):
        os.makedirs(path, mode=0o700, exist_ok=True)
        os.chown(path, person.uid, person.gid)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        arguments = [str(theirs.fileno()), msgspec.json.encode(settings).decode()]
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", "liftlock.adapters.sandbox.launcher_main", *arguments],
            env={"PATH": "/usr/bin:/bin"},
            cwd="/",
            stdin=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
            user=person.uid,
            group=person.gid,
            extra_groups=[],
        )
    return SpawnedLauncher(ours, process)


def make_directory(kind: str) -> Path:
    """A state directory that only its owner can enter, as far up as it was made."""
    directory = Path(tempfile.mkdtemp(prefix="liftlock-sandbox-"))
    if kind == "ordinary" and os.geteuid() == 0:
        os.chown(directory, ORDINARY_UID, ORDINARY_UID)
        return directory
    inner = directory / "state"
    inner.mkdir()
    return inner


def remove_directory(directory: Path) -> None:
    """Remove what `make_directory` made."""
    shutil.rmtree(directory.parent if directory.name == "state" else directory)


@asynccontextmanager
async def machine(kind: str, *, slots: int = 2, **further: object) -> AsyncIterator[Machine]:
    """A machine that is closed and removed afterwards."""
    directory = make_directory(kind)
    launcher, settings = start_launcher(kind, directory, slots=slots, **further)
    try:
        sandbox = await BubblewrapSandbox.connect(launcher.channel)
    except BaseException:
        launcher.process.wait(30)
        raise
    try:
        yield Machine(kind, sandbox, launcher, directory, settings)
    finally:
        await sandbox.close()
        assert await asyncio.to_thread(launcher.process.wait, 30) == 0
        left = [entry for entry in os.listdir(settings.scratch_dir) if entry not in KEPT]
        assert left == [], "a closed launcher leaves no scratch"
        remove_directory(directory)


def living(marker: str) -> list[int]:
    """The processes, seen from the host, whose command line holds `marker`."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                if marker.encode() in Path(f"/proc/{name}/cmdline").read_bytes():
                    found.append(int(name))
            except OSError:
                continue
    return found
