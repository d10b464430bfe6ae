"""The local witness of `liftlock up`: how the supervisor starts it, and as whom."""

from __future__ import annotations

from pathlib import Path

import msgspec

from liftlock.adapters.sandbox.users import Users, ensure_witness
from liftlock.processes.privileges import UserIds
from liftlock.processes.state_directory import own
from liftlock.processes.supervisor import Child

DIRECTORY = "witness"
EVERY_S = 5.0


class WitnessSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the witness is told: where the log is, where to keep its checkpoints, and whom to become."""

    root_url: str
    directory: str
    user: UserIds | None = None


def child(state_dir: Path, users: Users, root_url: str) -> Child:
    """Return the witness as the supervisor starts it, with a directory below `state_dir` that only its user can write.

    Raises:
        IsolationUnavailableError: its user can't be made.
    """
    found = ensure_witness(users)
    user = None if found is None else UserIds(found.uid, found.gid)
    directory = own(state_dir / DIRECTORY, user)
    directory.chmod(0o755)
    settings = WitnessSettings(root_url=root_url, directory=str(directory), user=user)
    return Child("witness", "liftlock.processes.audit_witness", lambda: msgspec.json.encode(settings))
