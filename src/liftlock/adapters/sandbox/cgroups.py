"""Limits for whole process trees, and a way to end them: cgroups v2, v1 directories, or both (hybrid).

What may be used is found by looking: for every controller the directory below which this process can make its own.
All cgroups of one launcher lie in directories called `liftlock-<identity>`, so that the next launcher finds what a
killed one left.

Source: docs/reference/sandbox.md#limits; the kernel's admin-guide/cgroup-v1 and cgroup-v2
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from liftlock.errors import SandboxFailedError
from liftlock.ports.sandbox import Limits, Usage

CONTROLLERS = ("memory", "pids", "cpu")
_V1_EXTRA = ("cpuacct", "freezer")  # joined if they are there: for the time used, and to end a tree
CPU_PERIOD_US = 100_000
DEAD_WITHIN_S = 20.0
_POLL_S = 0.005
_MAIN = "liftlock-main"
_DELEGATION_TRIES = 10  # processes that are forked meanwhile are moved by the next one
Kind = Literal["cgroup-v1", "cgroup-v2"]


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """A mounted cgroup hierarchy: where we are in it, and its controllers (`unified` alone for the bare v2)."""

    kind: Kind
    mount: str
    own: str
    controllers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CgroupHost:
    """The directories below which cgroups can be made here: by controller, and `unified` for a v2 one to kill by."""

    bases: Mapping[str, tuple[Kind, str]]
    identity: str

    def kind(self, controller: str) -> Kind | None:
        """Return what enforces `controller`'s limit, or None."""
        found = self.bases.get(controller)
        return found[0] if found else None

    def create(self, name: str, limits: Limits) -> Cgroup:
        """Return a new cgroup with `limits` set.

        Raises:
            SandboxFailedError: the kernel refused a limit; nothing is left.
        """
        directories = {
            key: f"{base}/liftlock-{self.identity}/{name}" for key, (_, base) in sorted(self.bases.items())
        }
        cgroup = Cgroup({key: (self.bases[key][0], path) for key, path in directories.items()})
        try:
            for path in dict.fromkeys(directories.values()):
                _make(path)
            for key, (kind, path) in cgroup.directories.items():
                write_limits(key, kind, path, limits)
        except OSError as error:
            cgroup.remove()
            raise SandboxFailedError(f"cgroup {name}: {error.filename}: {error.strerror}") from error
        return cgroup

    def remove(self) -> None:
        """Remove the directories that hold the cgroups, which are all gone."""
        remove_all(f"{base}/liftlock-{self.identity}" for _, base in self.bases.values())

    def leftovers(self) -> tuple[str, ...]:
        """Return every directory of an earlier launcher of this identity, deepest first, wherever it ran."""
        found: list[str] = []
        for hierarchy in hierarchies():
            for path, names, _ in os.walk(hierarchy.mount):
                if os.path.basename(path) == f"liftlock-{self.identity}":
                    found += [path, *(os.path.join(path, name) for name in names)]
                    names.clear()
        return tuple(sorted(set(found), key=len, reverse=True))


@dataclass(frozen=True, slots=True)
class Cgroup:
    """One sandbox's cgroup: a directory per controller (the same one several times under v2)."""

    directories: Mapping[str, tuple[Kind, str]]

    @property
    def paths(self) -> tuple[str, ...]:
        """The directories, each once."""
        return tuple(dict.fromkeys(path for _, path in self.directories.values()))

    def enter(self) -> None:
        """Put the calling process, and all its children to come, into the cgroup."""
        for path in self.paths:
            _write(f"{path}/cgroup.procs", "0")

    def kill(self) -> None:
        """End every process in it and return when none is left.

        Raises:
            SandboxFailedError: a process is still there after `DEAD_WITHIN_S`.
        """
        kill_all(self.paths)

    def usage(self) -> Usage:
        """Return what was used so far."""
        return Usage(cpu_s=self._cpu_s(), memory_peak_bytes=self._memory_peak())

    def out_of_memory(self) -> bool:
        """Tell whether the kernel killed a process of it for want of memory."""
        kind, path = self.directories.get("memory", ("cgroup-v2", ""))
        name = "memory.events" if kind == "cgroup-v2" else "memory.oom_control"
        return bool(path) and _counter(f"{path}/{name}", "oom_kill") > 0

    def out_of_pids(self) -> bool:
        """Tell whether a fork was refused for want of process ids."""
        path = self.directories.get("pids", ("", ""))[1]
        return bool(path) and _counter(f"{path}/pids.events", "max") > 0

    def remove(self) -> None:
        """Remove the directories; nothing lives in them."""
        remove_all(self.paths)

    def _memory_peak(self) -> int | None:
        kind, path = self.directories.get("memory", ("cgroup-v2", ""))
        name = "memory.peak" if kind == "cgroup-v2" else "memory.max_usage_in_bytes"
        return _number(f"{path}/{name}") if path else None

    def _cpu_s(self) -> float | None:
        if "cpuacct" in self.directories:
            nanoseconds = _number(f"{self.directories['cpuacct'][1]}/cpuacct.usage")
            return None if nanoseconds is None else nanoseconds / 1e9
        if "unified" in self.directories:
            microseconds = _counter(f"{self.directories['unified'][1]}/cpu.stat", "usage_usec")
            return microseconds / 1e6 if microseconds else None
        return None


def kill_all(paths: Iterable[str], *, within_s: float = DEAD_WITHIN_S) -> None:
    """End every process in the cgroups `paths`; return when none is left, or raise SandboxFailedError."""
    paths = tuple(paths)
    deadline = time.monotonic() + within_s
    while True:
        for path in paths:
            with contextlib.suppress(OSError):
                _write(f"{path}/cgroup.kill", "1")
        living = {pid for path in paths for pid in _processes(path)}
        if not living:
            return
        for pid in living:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise SandboxFailedError(f"processes {sorted(living)[:5]} of a sandbox do not die")
        time.sleep(_POLL_S)


def remove_all(paths: Iterable[str], *, within_s: float = 5.0) -> None:
    """Remove the empty cgroups `paths`, deepest first; a busy one is tried again for a while, then left."""
    deadline = time.monotonic() + within_s
    for path in sorted(set(paths), key=len, reverse=True):
        while os.path.isdir(path):
            try:
                os.rmdir(path)
            except OSError:
                if time.monotonic() > deadline:
                    return
                time.sleep(_POLL_S)


def find_host(identity: str) -> CgroupHost:
    """Return what this process may use. Makes and removes a directory in every hierarchy to be sure."""
    bases: dict[str, tuple[Kind, str]] = {}
    for hierarchy in hierarchies():
        if hierarchy.kind == "cgroup-v1":
            wanted = [name for name in (*CONTROLLERS, *_V1_EXTRA) if name in hierarchy.controllers]
            if wanted and _can_make(hierarchy.own, identity):
                bases |= dict.fromkeys(wanted, ("cgroup-v1", hierarchy.own))
            continue
        base = delegated_base(hierarchy)
        if base is not None and _can_make(base, identity):
            enabled = _words(f"{base}/cgroup.subtree_control")
            bases |= {name: ("cgroup-v2", base) for name in CONTROLLERS if name in enabled}
            bases["unified"] = ("cgroup-v2", base)
    return CgroupHost(bases, identity)


def hierarchies() -> tuple[Hierarchy, ...]:
    """Return every mounted hierarchy that this process is in. Source: /proc/self/mountinfo, /proc/self/cgroup."""
    places: dict[str, str] = {}
    for line in _lines("/proc/self/cgroup"):
        _, names, path = line.split(":", 2)
        for name in names.split(",") if names else ("unified",):
            places[name] = path
    found: list[Hierarchy] = []
    for line in _lines("/proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        root, mount = before.split(" ")[3:5]
        if kind == "cgroup2" and "unified" in places:
            own = _inside(mount, root, places["unified"])
            found.append(Hierarchy("cgroup-v2", mount, own, ("unified",)))
        elif kind == "cgroup":
            held = tuple(name for name in options.replace(" ", ",").split(",") if name in places)
            if held:
                found.append(Hierarchy("cgroup-v1", mount, _inside(mount, root, places[held[0]]), held))
    return tuple(found)


def delegate() -> None:
    """Under cgroup v2: have our own cgroup hand limits to its children, if it was delegated to us.

    The kernel allows that only while no process is in it itself, so those in it move into a child `liftlock-main`.
    Does nothing where an ancestor hands on limits already, or where it is not ours to do; `find_host` tells what
    came of it. Several launchers may do it at once.
    """
    for hierarchy in hierarchies():
        own = hierarchy.own.removesuffix("/" + _MAIN)
        if hierarchy.kind != "cgroup-v2" or not os.access(f"{own}/cgroup.subtree_control", os.W_OK):
            continue
        offered = [name for name in CONTROLLERS if name in _words(f"{own}/cgroup.controllers")]
        if not offered or delegated_base(hierarchy) not in (None, hierarchy.own):
            continue
        for _ in range(_DELEGATION_TRIES):
            with contextlib.suppress(OSError):
                _write(f"{own}/cgroup.subtree_control", " ".join(f"+{name}" for name in offered))
                break
            with contextlib.suppress(OSError):
                os.makedirs(f"{own}/{_MAIN}", exist_ok=True)
                _move(own, f"{own}/{_MAIN}")


def _move(source: str, target: str) -> None:
    for pid in list(_processes(source)):
        with contextlib.suppress(ProcessLookupError):
            _write(f"{target}/cgroup.procs", str(pid))


def delegated_base(hierarchy: Hierarchy) -> str | None:
    """Return the nearest v2 directory, ours or above, that hands limits to its children and is ours to write.

    Where there is none: our own, if children can be made in it to end trees by; else None.
    """
    path = hierarchy.own
    while path.startswith(hierarchy.mount):
        enabled = _words(f"{path}/cgroup.subtree_control")
        writable = os.access(path, os.W_OK) and os.access(f"{path}/cgroup.procs", os.W_OK)
        if writable and "memory" in enabled and "pids" in enabled:
            return path
        if path == hierarchy.mount:
            break
        path = os.path.dirname(path)
    # No limits to be had (they may be v1's), but a cgroup to end a tree by.
    return hierarchy.own if os.access(f"{hierarchy.own}/cgroup.procs", os.W_OK) else None


def _inside(mount: str, root: str, path: str) -> str:
    """Return where the cgroup `path` is seen when the hierarchy's directory `root` is mounted at `mount`."""
    below = path[len(root) :] if root != "/" and path.startswith(root) else path
    return (mount.rstrip("/") + "/" + below.strip("/")).rstrip("/")


def _can_make(base: str, identity: str) -> bool:
    path = f"{base}/liftlock-{identity}"
    try:
        os.makedirs(f"{path}/probe", exist_ok=True)
        os.rmdir(f"{path}/probe")
    except OSError:
        return False
    return os.access(f"{path}/cgroup.procs", os.W_OK)


def _make(path: str) -> None:
    """Make the directory and, under v2, hand on the controllers from its parent."""
    parent = os.path.dirname(path)
    os.makedirs(parent, exist_ok=True)
    if os.path.exists(f"{parent}/cgroup.subtree_control"):
        offered = [name for name in CONTROLLERS if name in _words(f"{parent}/cgroup.controllers")]
        if offered:
            _write(f"{parent}/cgroup.subtree_control", " ".join(f"+{name}" for name in offered))
    os.mkdir(path)


def write_limits(controller: str, kind: Kind, path: str, limits: Limits) -> None:
    """Write what `controller` bounds into the cgroup at `path`; controllers without limits of ours are left alone."""
    quota = max(1000, int(limits.cpu * CPU_PERIOD_US))
    match controller, kind:
        case "memory", "cgroup-v1":
            _write(f"{path}/memory.limit_in_bytes", str(limits.memory_bytes))
            if os.path.exists(f"{path}/memory.memsw.limit_in_bytes"):
                _write(f"{path}/memory.memsw.limit_in_bytes", str(limits.memory_bytes))
        case "memory", _:
            _write(f"{path}/memory.max", str(limits.memory_bytes))
            _write(f"{path}/memory.oom.group", "0")
            if os.path.exists(f"{path}/memory.swap.max"):
                _write(f"{path}/memory.swap.max", "0")
        case "pids", _:
            _write(f"{path}/pids.max", str(limits.pids))
        case "cpu", "cgroup-v1":
            _write(f"{path}/cpu.cfs_period_us", str(CPU_PERIOD_US))
            _write(f"{path}/cpu.cfs_quota_us", str(quota))
        case "cpu", _:
            _write(f"{path}/cpu.max", f"{quota} {CPU_PERIOD_US}")
        case _:
            pass


def _processes(path: str) -> Iterator[int]:
    for line in _lines(f"{path}/cgroup.procs"):
        if line.isdigit() and line != "0":
            yield int(line)


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
    finally:
        os.close(descriptor)


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read().splitlines()
    except OSError:
        return []


def _words(path: str) -> list[str]:
    return " ".join(_lines(path)).split()


def _number(path: str) -> int | None:
    words = _words(path)
    return int(words[0]) if words and words[0].isdigit() else None


def _counter(path: str, name: str) -> int:
    for line in _lines(path):
        key, _, value = line.partition(" ")
        if key == name and value.strip().isdigit():
            return int(value)
    return 0
