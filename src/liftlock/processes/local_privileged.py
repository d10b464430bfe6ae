"""The privileged worker of `liftlock up`: one process, its own user, serving the queue `local/privileged`."""

from __future__ import annotations

import asyncio
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from liftlock.adapters.sandbox.users import Users, ensure_privileged
from liftlock.adapters.system.clock import SystemClock
from liftlock.adapters.system.entropy import SystemEntropy
from liftlock.errors import IsolationUnavailableError
from liftlock.processes.certifying import Certifier
from liftlock.processes.privileged_settings import PrivilegedSettings
from liftlock.processes.privileges import UserIds
from liftlock.processes.settings import StaticClientSettings
from liftlock.processes.state_directory import own
from liftlock.processes.supervisor import Child, Supervisor

QUEUE: Final = "local/privileged"
GROUP: Final = "local"
LEVEL: Final = 3
GRACE_S: Final = 30.0
PROVEN_AFTER_S: Final = 10.0
DIRECTORY: Final = "privileged"
SEALED_DIRECTORY: Final = "sealed"
CLIENT: Final = "static/liftlock/privileged-worker"


@dataclass(frozen=True, slots=True)
class LocalPrivileged:
    """What the supervisor needs of it: its client, and how to start it."""

    settings: PrivilegedSettings

    @classmethod
    def prepare(
        cls, state_dir: Path, users: Users, root_url: str, operations: str, certifier: Certifier
    ) -> LocalPrivileged:
        """Make its user and its directories; `certifier` certifies its key.

        Raises:
            IsolationUnavailableError: its user can't be made.
        """
        found = ensure_privileged(users)
        user = None if found is None else UserIds(found.uid, found.gid)
        sealed = state_dir / SEALED_DIRECTORY
        sealed.mkdir(mode=0o755, exist_ok=True)
        sealed.chmod(0o755)
        worker_id = f"{socket.gethostname()[:30].replace('.', '-')}-privileged"
        return cls(
            PrivilegedSettings(
                root_url=root_url,
                client_id=CLIENT,
                access_token=secrets.token_urlsafe(33),
                queue_id=QUEUE,
                worker_group=GROUP,
                worker_id=worker_id,
                operations=operations,
                state_dir=str(_own(state_dir / DIRECTORY, user)),
                sealed_dir=str(sealed),
                certifier_fd=certifier.channel(GROUP, worker_id),
                published_keys=str(certifier.published_path),
                user=user,
            )
        )

    @property
    def client(self) -> StaticClientSettings:
        """Its client, with a token of this start."""
        told = self.settings
        scopes = (
            f"queue:claim-work:{told.queue_id}",
            f"queue:worker-id:{told.worker_group}/{told.worker_id}",
            "liftlock:handoff:*",
            "queue:get-artifact:artifacts/*",
            "queue:get-artifact:public/*",
        )
        return StaticClientSettings(told.client_id, told.access_token, scopes, "The privileged worker.")

    def child(self) -> Child:
        """Return the process; its first start may show that the operations can't be performed."""
        return Child(
            "privileged worker",
            "liftlock.processes.privileged",
            lambda: msgspec.json.encode(self.settings),
            pass_fds=(self.settings.certifier_fd,),
            grace_s=GRACE_S,
            proven=False,
        )


def _own(path: Path, user: UserIds | None) -> Path:
    """Make the directory its user's; others may pass through it, to its public key, and list nothing."""
    own(path, user).chmod(0o711)
    return path


def prepared(state_dir: Path, users: Users, root_url: str, operations: str | None) -> LocalPrivileged | None:
    """Return the privileged worker; None: nothing is configured for it."""
    if operations is None:
        return None
    certifier = Certifier(state_dir, QUEUE, LEVEL, SystemClock(), SystemEntropy())
    made = LocalPrivileged.prepare(state_dir, users, root_url, operations, certifier)
    certifier.attend()
    return made


async def start(supervisor: Supervisor, child: Child, stop: asyncio.Event) -> None:
    """Start the privileged worker; if it can't work at all, everything is stopped: nobody should wait for it.

    Raises:
        IsolationUnavailableError: it ended with a failure soon after its first start.
    """
    await supervisor.start(child)
    gave_up, asked = asyncio.ensure_future(child.gave_up.wait()), asyncio.ensure_future(stop.wait())
    await asyncio.wait({gave_up, asked}, timeout=PROVEN_AFTER_S, return_when=asyncio.FIRST_COMPLETED)
    child.proven = True
    failed = child.gave_up.is_set()
    for each in (gave_up, asked):
        each.cancel()
    if failed:
        stop.set()
        raise IsolationUnavailableError("the privileged worker could not start; what it said is above")
