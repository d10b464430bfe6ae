"""Where untrusted code runs: a slot's scratch, a sandbox over it, and what comes back when the tree is dead.

The order of a task: `new_scratch` → `open_cache` → `place`, `unpack`, `checkout`, `make_own` → `start`, `wait` (once per command) →
`list_files`, `open_file` → `remove_scratch`. One sandbox at a time per slot; slots work side by side.

Inside, a task sees `/usr` (read-only, the host's or its image's), a generated `/etc`, its scratch as `/build`
(writable, its home and first directory), what is bound below `/inputs`, `/tmp`, `/run`, a minimal `/dev`, `/proc`.

Source: docs/reference/sandbox.md
"""

from __future__ import annotations

import socket
from datetime import datetime
from typing import Literal, Protocol

import msgspec

MIB = 1 << 20
GIB = 1 << 30

LimitKind = Literal["cgroup-v1", "cgroup-v2", "rlimit", "none"]
"""What enforces a limit: a cgroup for the whole tree, a resource limit (weaker: see `missing`), or nothing."""
FileProblem = Literal["absent", "not-a-file", "symlink", "outside", "bad-path", "too-large", "too-many"]


class IsolationLevel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What separates tasks from each other and from the host here, as measured and not as hoped: attested as is.

    `users`: "separate" if every slot has a user of its own, "single-user" if worker and tasks share one uid.
    `disk`: "filesystem" if a full scratch answers ENOSPC; "watched" if it is measured every second and the tree
    that exceeds it is killed. `missing`: for people, each with the way to get it.
    """

    users: Literal["separate", "single-user"]
    memory: LimitKind
    pids: LimitKind
    cpu: LimitKind
    disk: Literal["filesystem", "watched"]
    user_namespaces: bool = True
    seccomp: bool = True
    network: Literal["closed"] = "closed"
    missing: tuple[str, ...] = ()

    def lines(self) -> tuple[str, ...]:
        """Return what a person at a terminal is told, one fact a line; the first line is a stable contract."""
        first = (
            "single-user: processes share one uid"
            if self.users == "single-user"
            else "separate users: every slot has a uid of its own"
        )
        limits = f"limits: memory {self.memory}, pids {self.pids}, cpu {self.cpu}, disk {self.disk}"
        return (first, limits, f"network: {self.network}", *self.missing)

    def why_not_untrusted(self) -> tuple[str, ...]:
        """Return why a pool for untrusted work must refuse to run here; empty: it may run."""
        lacks = [name for name in ("memory", "pids") if not getattr(self, name).startswith("cgroup")]
        reasons = [f"no cgroup limit on {name}: one task can starve the machine" for name in lacks]
        if not self.seccomp:
            reasons.append("no seccomp filter: the whole kernel interface is open to the task")
        if not self.user_namespaces:
            reasons.append("no user namespaces: there is no sandbox")
        return tuple(reasons)


class Limits(msgspec.Struct, frozen=True):
    """What one sandbox may use at most. Memory includes `/tmp`, `/run` and `/dev/shm`; `cpu` is in cores."""

    memory_bytes: int = 4 * GIB
    pids: int = 512
    cpu: float = 2.0
    file_bytes: int = 20 * GIB
    open_files: int = 4096
    tmp_bytes: int = 1 * GIB


class DiskLimits(msgspec.Struct, frozen=True):
    """What a scratch may hold at most: bytes of content, and files plus directories."""

    max_bytes: int = 20 * GIB
    max_entries: int = 1_000_000


class Scratch(msgspec.Struct, frozen=True):
    """A fresh directory of one slot, empty and owned by the slot's user; `name` is random."""

    slot: int
    name: str
    max_bytes: int = 0
    """What was granted: the request, or less where the disk has less free."""


class Bind(msgspec.Struct, frozen=True):
    """`source` (absolute, below the store or a tree that the settings name) read-only at `destination`.

    `destination` is absolute and not below `/build`, `/proc`, `/dev`, `/sys`, `/etc`, or `/usr`, unless source and
    destination are the same path (an interpreter with absolute shebangs).
    """

    source: str
    destination: str


class DataFile(msgspec.Struct, frozen=True):
    """A small read-only file that exists only in the sandbox, such as `/inputs/inputs.json`; at most 16 MiB."""

    destination: str
    content: bytes


class Listener(msgspec.Struct, frozen=True):
    """An address inside the sandbox's own network on which the worker, outside, answers."""

    port: int
    host: str = "127.0.0.1"


class CacheRequest(msgspec.Struct, frozen=True):
    """Open the slot's cache `key` ([a-z0-9-], at most 80) for the run over `scratch`.

    One that was made at `not_before` or earlier is removed first. A new one is made at `now`, holds `max_bytes` at most,
    and others of the slot give way to it, least lately used first, while they hold more than `store_bytes`.
    """

    scratch: Scratch
    key: str
    now: datetime
    not_before: datetime | None = None
    max_bytes: int = 10 * GIB
    max_entries: int = 1_000_000
    store_bytes: int = 32 * GIB


class OpenedCache(msgspec.Struct, frozen=True):
    """A cache that may be bound; `fresh`: it is empty, made just now."""

    made: datetime
    fresh: bool


class CacheBind(msgspec.Struct, frozen=True):
    """The open cache `key`, writable, at `destination`: an absolute path below `/build`, or where a `Bind` may be."""

    key: str
    destination: str


class SandboxSpec(msgspec.Struct, frozen=True):
    """One command and all it may see.

    `env` is exact: nothing is added but HOME=/build, PATH and LANG where absent. `argv[0]` is looked up in PATH.
    `root`: a directory of an unpacked, verified image; None: the host's `/usr`. `own`: names of directories at the top of
    the root that `make_own` made. A `cwd` in one of them that is no longer there: the directory itself. `terminal`: the command runs on a pseudo
    terminal of its own, which controls its session; `log_fd` is then the other end of it, to read from and to type into.
    """

    scratch: Scratch
    argv: tuple[str, ...]
    env: dict[str, str] = {}
    cwd: str = "/build"
    binds: tuple[Bind, ...] = ()
    files: tuple[DataFile, ...] = ()
    listeners: tuple[Listener, ...] = ()
    limits: Limits = Limits()
    root: str | None = None
    caches: tuple[CacheBind, ...] = ()
    own: tuple[str, ...] = ()
    terminal: bool = False


class Usage(msgspec.Struct, frozen=True):
    """What the sandbox used, as far as it is known here; None: not measured."""

    cpu_s: float | None = None
    memory_peak_bytes: int | None = None
    disk_bytes: int | None = None


class ExitStatus(msgspec.Struct, frozen=True):
    """How a sandbox ended; its whole tree is dead.

    `started` False: the sandbox could not be set up and the command never ran (the log says why); never blame the
    task. `code` is the command's exit code, 128 + n if signal n ended it. `killed`: `kill` ended it, with its reason.
    """

    started: bool
    code: int
    killed: str | None = None
    out_of_memory: bool = False
    out_of_disk: bool = False
    out_of_pids: bool = False
    usage: Usage = Usage()

    @property
    def ok(self) -> bool:
        """Tell whether the command ran and ended with 0."""
        return self.started and self.code == 0 and self.killed is None and not self.out_of_disk


class RunningSandbox(Protocol):
    """A sandbox that was started; the command may already have ended."""

    @property
    def log_fd(self) -> int:
        """The read end (non-blocking) of the one pipe, or terminal, that is stdout and stderr; the caller's to close.

        It reads as ended when the last process of the tree is gone.
        """
        ...

    @property
    def listeners(self) -> tuple[socket.socket, ...]:
        """Listening sockets in the order of the spec, non-blocking, the caller's to accept on and close."""
        ...

    async def wait(self) -> ExitStatus:
        """Return how it ended, once every process of the tree is dead. May be awaited more than once.

        Raises:
            SandboxFailedError: the launcher died; the tree dies with it.
        """
        ...

    async def kill(self, reason: str) -> None:
        """End every process of the tree now; `wait` then tells. Does nothing if it has ended."""
        ...


class Placement(msgspec.Struct, frozen=True):
    """Copy the file `source` (in the store) to `path` (relative to `/build`), parents made, owned by the slot."""

    source: str
    path: str
    executable: bool = False


class UnpackRequest(msgspec.Struct, frozen=True):
    """Unpack `archives` (tar with any compression, zip, wheel; files in the store) in order into one directory.

    The directory is `path` below the scratch, or, with `tree`, a new directory `trees/<tree>` of the store, owned by
    the store's user. `tree` is `.new-` and up to 80 of `[A-Za-z0-9_-]`; the caller renames it, beside itself, to its
    final name once it is complete. What is still called `.new-…` when a launcher starts is removed.
    """

    archives: tuple[str, ...]
    scratch: Scratch
    path: str = ""
    tree: str | None = None
    strip: int = 0
    max_bytes: int = 2 * GIB
    max_entries: int = 200_000
    timeout_s: float = 600.0


class ImageLayer(msgspec.Struct, frozen=True):
    """A layer in the store, measured; `compression`: none, gzip or zstd; `diff_id`: `sha256:…` of it unpacked."""

    path: str
    compression: str
    diff_id: str


class ImageRequest(msgspec.Struct, frozen=True):
    """Apply `layers`, lowest first, with their whiteouts, as a new directory `trees/<tree>` of the store.

    The result holds files, directories and links only, readable by everybody, without set-id bits.
    """

    layers: tuple[ImageLayer, ...]
    scratch: Scratch
    tree: str
    max_bytes: int = 16 * GIB
    max_entries: int = 1_000_000
    timeout_s: float = 1800.0


class UnpackResult(msgspec.Struct, frozen=True):
    """What was unpacked; `problem` (safe text, names the entry) if the archive was refused: then nothing is kept."""

    entries: int = 0
    bytes: int = 0
    problem: str | None = None
    tree: str | None = None


class CheckoutRequest(msgspec.Struct, frozen=True):
    """Make a checkout of `revision` (40 hex, or 64 of git's) from the bundle file `bundle` (in the store) at `path`.

    `origin`: address that is configured as the remote and never contacted. `branch`: checked out by that name if
    given, else HEAD is detached; not of Mercurial's. It is an ordinary clone, owned by the slot, verified: HEAD (the
    parent) is `revision`, and everything in the bundle is what its digests say.
    """

    bundle: str
    revision: str
    scratch: Scratch
    path: str
    origin: str
    branch: str | None = None
    timeout_s: float = 600.0
    vcs: Literal["git", "hg"] = "git"


class OwnRequest(msgspec.Struct, frozen=True):
    """Make the directories `names` at the top of the root the task's own, filled with what `sources` say, else empty.

    They lie below `.root` in the scratch. `sources`: name → directory of the image's tree, without links in its path.
    `made`: directories to make in them, relative to `.root`, so `builds/worker/artifacts`.
    """

    scratch: Scratch
    names: tuple[str, ...]
    sources: dict[str, str] = {}
    made: tuple[str, ...] = ()
    timeout_s: float = 600.0


class OpenedFile(msgspec.Struct, frozen=True):
    """A regular file below the scratch, opened without following links; `fd` reads from 0 and is the caller's to close."""

    fd: int
    size: int


class FoundFile(msgspec.Struct, frozen=True):
    """A regular file found in a directory: `path` is relative to `/build`, as `open_file` takes it."""

    path: str
    size: int


class Rejected(msgspec.Struct, frozen=True):
    """Why a path of the scratch is no artifact: a problem of the task, with safe text that names the path."""

    problem: FileProblem
    message: str


class Sandbox(Protocol):
    """Makes scratches, runs commands over them, and hands files back. Every method may raise SandboxFailedError."""

    @property
    def isolation(self) -> IsolationLevel:
        """What separates tasks here."""
        ...

    @property
    def slots(self) -> tuple[int, ...]:
        """The slots that may be used, from 0, ascending."""
        ...

    async def new_scratch(self, slot: int, disk: DiskLimits) -> Scratch:
        """Return a new scratch; whatever lived or lay in the slot before is dead and gone."""
        ...

    async def open_cache(self, request: CacheRequest) -> OpenedCache:
        """Open a cache until the scratch is removed; no other slot ever sees it. SandboxFailedError: it is open."""
        ...

    async def drop_cache(self, scratch: Scratch, key: str) -> None:
        """Have an open cache removed together with the scratch."""
        ...

    async def start(self, spec: SandboxSpec) -> RunningSandbox:
        """Start `spec.argv`. A command that is not found is an exit code and a line in the log, no error.

        Raises:
            IsolationUnavailableError: the kernel refuses what isolation needs; nothing was run.
            SandboxFailedError: a source is absent or outside of what may be bound, or the slot is busy.
        """
        ...

    async def place(self, scratch: Scratch, files: tuple[Placement, ...]) -> str | None:
        """Copy store files into the scratch, in order; None, or why it failed (disk full, a path through a link)."""
        ...

    async def unpack(self, request: UnpackRequest) -> UnpackResult:
        """Unpack archives in a sandbox of their own, with no network and the caps of the request."""
        ...

    async def unpack_image(self, request: ImageRequest) -> UnpackResult:
        """Apply an image's layers in a sandbox of its own; a diff_id that differs is a problem in the result."""
        ...

    async def remove_tree(self, name: str) -> None:
        """Remove a directory of the store's trees whose name begins with `.new-`; one that is gone is no error."""
        ...

    async def checkout(self, request: CheckoutRequest) -> str | None:
        """Make a checkout in a sandbox of its own; None, or why it failed (what git or hg said)."""
        ...

    async def make_own(self, request: OwnRequest) -> str | None:
        """Copy directories of an image in a sandbox of its own; None, or why it failed (disk full, a link in the way)."""
        ...

    async def open_file(self, scratch: Scratch, path: str, *, max_bytes: int) -> OpenedFile | Rejected:
        """Open one regular file, `path` relative to the scratch. No process of the slot may be alive."""
        ...

    async def list_files(
        self, scratch: Scratch, path: str, *, max_entries: int
    ) -> tuple[FoundFile, ...] | Rejected:
        """Return the regular files below the directory `path`, sorted by path; links and devices are left out."""
        ...

    async def remove_scratch(self, scratch: Scratch) -> None:
        """Kill what lives in the slot and remove its scratch."""
        ...

    async def close(self) -> None:
        """Kill everything, remove every scratch, end the launcher."""
        ...
