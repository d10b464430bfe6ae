"""The local workers of `liftlock up`: one process with one slot each, serving the queue `local/unprivileged`."""

from __future__ import annotations

import hashlib
import secrets
import shutil
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

import msgspec

from liftlock.adapters.sandbox.spawn import launcher_settings
from liftlock.adapters.sandbox.users import User, Users, ensure_users
from liftlock.domain.inputs.policy import STRICTEST, PoolPolicy
from liftlock.domain.inputs.registry_login import Logins
from liftlock.processes.certifying import Certifier
from liftlock.processes.privileges import UserIds
from liftlock.processes.settings import StaticClientSettings
from liftlock.processes.state_directory import own
from liftlock.processes.supervisor import Child
from liftlock.processes.worker_settings import WorkerSettings

QUEUE = "local/unprivileged"
GROUP = "local"
WORKER_GRACE_S = 20.0


@dataclass(frozen=True, slots=True)
class LocalWorkers:
    """What the supervisor needs of them: their clients, their users, and how to start them."""

    users: Users
    settings: tuple[WorkerSettings, ...]

    @classmethod
    def prepare(
        cls,
        state_dir: Path,
        count: int,
        wheelhouse: Path | None,
        root_url: str,
        *,
        require_limits: bool,
        certifier: Certifier,
        policy: PoolPolicy = STRICTEST,
        registry_logins: Logins | None = None,
    ) -> LocalWorkers:
        """Make users and directories for `count` workers, whose keys `certifier` certifies.

        Raises:
            IsolationUnavailableError: users can't be made.
        """
        users = ensure_users(str(state_dir), slots=count)
        if wheelhouse is not None:
            wheelhouse = _readable(wheelhouse.absolute(), state_dir, users)
        settings = tuple(_settings(state_dir, number, users, wheelhouse, root_url) for number in range(count))
        settings = tuple(
            msgspec.structs.replace(
                each,
                require_limits=require_limits or each.require_limits,
                policy=policy,
                registry_logins=registry_logins or {},
                certifier_fd=certifier.channel(GROUP, each.worker_id),
                published_keys=str(certifier.published_path),
            )
            for each in settings
        )
        return cls(users, settings)

    @property
    def control_user(self) -> UserIds | None:
        """Who the control plane becomes; None: it stays who started it."""
        return _ids(self.users.control) if self.users.separate else None

    @property
    def isolation_lines(self) -> tuple[str, ...]:
        """What a person at the terminal is told; the workers log the rest as they measure it."""
        if self.users.separate:
            return ("separate users: every process and every slot has a uid of its own",)
        return ("single-user: processes share one uid",)

    @property
    def clients(self) -> tuple[StaticClientSettings, ...]:
        """The workers' clients, with tokens of this start."""
        return tuple(
            StaticClientSettings(
                each.client_id,
                each.access_token,
                (
                    f"queue:claim-work:{QUEUE}",
                    f"queue:worker-id:{GROUP}/{each.worker_id}",
                    f"purge-cache:purge-requests::{QUEUE}",
                ),
                "A local worker.",
            )
            for each in self.settings
        )

    def children(self) -> list[Child]:
        """Return one child for each worker."""
        return [
            Child(
                f"worker {each.worker_id}",
                "liftlock.processes.worker",
                lambda each=each: msgspec.json.encode(each),  # type: ignore[misc] # mypy can't infer a default's type
                pass_fds=(*each.lock_fds, each.certifier_fd),
                grace_s=WORKER_GRACE_S,
            )
            for each in self.settings
        ]


def _settings(
    state_dir: Path, number: int, users: Users, wheelhouse: Path | None, root_url: str
) -> WorkerSettings:
    home = state_dir / "workers"
    home.mkdir(mode=0o711, exist_ok=True)
    worker = _ids(users.worker) if users.separate else None
    instance = hashlib.sha256(str(state_dir).encode()).hexdigest()[:12]
    return WorkerSettings(
        root_url=root_url,
        client_id=f"static/liftlock/worker/{number}",
        access_token=secrets.token_urlsafe(33),
        queue_id=QUEUE,
        worker_group=GROUP,
        worker_id=f"{socket.gethostname()[:30].replace('.', '-')}-{number}",
        state_dir=str(own(home / f"state-{number}", worker)),
        launcher=launcher_settings(
            users,
            identity=f"{instance}-{number}",
            scratch_dir=str(home / f"scratch-{number}"),
            store_dir=str(home / f"store-{number}"),
            slots=slice(number, number + 1),
        ),
        lock_fds=users.locks[number : number + 1],
        certifier_fd=-1,
        published_keys="",
        user=worker,
        wheelhouse=None if wheelhouse is None else str(wheelhouse),
    )


def _ids(user: User) -> UserIds:
    return UserIds(user.uid, user.gid)


def _readable(wheelhouse: Path, state_dir: Path, users: Users) -> Path:
    """Return where the workers' user can read the wheels: there, or in a copy if a parent keeps that user out."""
    everybody = all(part.stat().st_mode & stat.S_IXOTH for part in (wheelhouse, *wheelhouse.parents))
    if not users.separate or everybody:
        return wheelhouse
    copies = state_dir / "wheelhouse"
    copies.mkdir(mode=0o755, exist_ok=True)
    for wheel in wheelhouse.glob("*.whl"):
        target = copies / wheel.name
        if not target.exists() or target.stat().st_size != wheel.stat().st_size:
            shutil.copyfile(wheel, target)
            target.chmod(0o644)
    return copies
