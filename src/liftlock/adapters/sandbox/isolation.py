"""From what was found on this machine to the isolation level that workers attest and people read."""

from __future__ import annotations

from liftlock.adapters.sandbox.cgroups import CgroupHost
from liftlock.ports.sandbox import IsolationLevel, LimitKind

SINGLE_USER = "users: run as root to get a user for every slot; tasks now share the uid of their worker"
CGROUPS = (
    "cgroups: no {lacking} limits for whole trees. As an ordinary user under systemd start it with "
    "`systemd-run --user --scope -p Delegate=yes liftlock up …`; as root on cgroups v1 make "
    "/sys/fs/cgroup/{{memory,pids,cpu}} writable; in a container give it a writable cgroup"
)
RLIMITS = (
    "limits: memory is bounded for each process only, processes for each sandbox, both by resource limits"
)
WATCHED = (
    "disk: scratches are measured every second, not bounded by a file system of their own; that takes root, "
    "mkfs.ext4 and /dev/loop-control"
)


def isolation_level(host: CgroupHost, *, separate: bool, own_filesystems: bool) -> IsolationLevel:
    """Return the level; `host` tells the cgroups, the rest is what the launcher found by trying."""
    lacking = [name for name in ("memory", "pids", "cpu") if host.kind(name) is None]
    missing: list[str] = []
    if not separate:
        missing.append(SINGLE_USER)
    if lacking:
        missing.append(CGROUPS.format(lacking=", ".join(lacking)))
        missing.append(RLIMITS)
    if not own_filesystems:
        missing.append(WATCHED)
    return IsolationLevel(
        users="separate" if separate else "single-user",
        memory=_limit(host, "memory"),
        pids=_limit(host, "pids"),
        cpu=host.kind("cpu") or "none",
        disk="filesystem" if own_filesystems else "watched",
        missing=tuple(missing),
    )


def _limit(host: CgroupHost, controller: str) -> LimitKind:
    return host.kind(controller) or "rlimit"
