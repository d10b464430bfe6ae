"""What a worker process is told, through an anonymous file in memory."""

from __future__ import annotations

import msgspec

from liftlock.adapters.sandbox.settings import LauncherSettings
from liftlock.domain.inputs.policy import STRICTEST, PoolPolicy
from liftlock.domain.inputs.registry_login import Logins
from liftlock.processes.privileges import UserIds

GIB = 1 << 30


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One worker: who it is, where it works, what its tasks may use at most.

    `state_dir`: absolute, the worker user's alone (its journal and logs of running tasks). `launcher`: of its slots,
    with the store; `lock_fds`: inherited descriptors that hold the slots' users. `user`: who the worker becomes once
    the launcher runs; None: it stays who it is. `wheelhouse`: directory of wheels that lock files may name by digest.
    `storage_origins`: further origins that uploads and artifacts of the control plane may lie at.
    `policy`: of its pool, for inputs and network. `registry_logins`: who it is to registries; known to it alone.
    `require_limits`: refuse to serve where tasks can't be bounded by cgroups (a pool for untrusted work).
    """

    root_url: str
    client_id: str
    access_token: str
    queue_id: str = "local/unprivileged"
    worker_group: str = "local"
    worker_id: str
    state_dir: str
    launcher: LauncherSettings
    lock_fds: tuple[int, ...] = ()
    certifier_fd: int
    """An inherited socket to who certifies this worker's key."""
    published_keys: str
    """The file that says whose signatures count; it may be replaced at any time."""
    user: UserIds | None = None
    wheelhouse: str | None = None
    storage_origins: tuple[str, ...] = ()
    require_limits: bool = False
    policy: PoolPolicy = STRICTEST
    registry_logins: Logins = {}
    memory_bytes: int = 4 * GIB
    pids: int = 512
    cpu: float = 2.0
    disk_bytes: int = 20 * GIB
    max_run_s: int = 24 * 3600
    max_log_bytes: int = 256 << 20
    max_artifact_bytes: int = 10 * GIB
    grace_s: float = 5.0
    """After SIGTERM tasks that end by themselves within so long are reported as they ended; the others are retried."""
