"""What a privileged worker process is told, through an anonymous file in memory."""

from __future__ import annotations

import msgspec

from liftlock.processes.privileges import UserIds


class PrivilegedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One privileged worker. `operations`: its own copy of the operations file, which it believes and nothing else.

    `state_dir`: absolute, its user's alone. `sealed_dir`: where sealed secrets lie, for everybody to read. `published_keys`: the
    file that says whose signatures count; it belongs to who started liftlock, not to the control plane.
    """

    root_url: str
    client_id: str
    access_token: str
    queue_id: str
    worker_group: str
    worker_id: str
    operations: str
    state_dir: str
    sealed_dir: str
    certifier_fd: int
    published_keys: str
    storage_origins: tuple[str, ...] = ()
    user: UserIds | None = None
