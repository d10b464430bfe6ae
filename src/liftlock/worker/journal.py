"""Claims that this worker holds, on disk before anything of them is begun: whoever starts next can hand them back.

One file a claim, mode 0600, synced; it holds the claim's credentials.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import structlog

from liftlock.domain.credentials.certificates import Credentials
from liftlock.errors import MalformedPayloadError
from liftlock.ports.queue_client import Lease, RunKey
from liftlock.values.json import decode_as

_log = structlog.get_logger(__name__)


class Entry(msgspec.Struct, frozen=True):
    """A claim as it was last renewed. `until`: when its lease ends."""

    task_id: str
    run_id: int
    client_id: str
    access_token: str
    certificate: str | None
    until: str

    @property
    def run(self) -> RunKey:
        """Return which run it is."""
        return RunKey(self.task_id, self.run_id)

    @property
    def credentials(self) -> Credentials:
        """Return the claim's credentials."""
        return Credentials(self.client_id, self.access_token, self.certificate)


class Journal:
    """A directory of claims, this worker's alone."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def record(self, run: RunKey, lease: Lease) -> None:
        """Keep a claim, or its renewal; it is on disk when this returns."""
        held = lease.credentials
        entry = Entry(
            run.task_id,
            run.run_id,
            held.client_id,
            held.access_token,
            held.certificate,
            lease.taken_until.isoformat(),
        )
        fresh = self._path(run).with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(msgspec.json.encode(entry))
            out.flush()
            os.fsync(out.fileno())
        fresh.rename(self._path(run))
        self._sync()

    def forget(self, run: RunKey) -> None:
        """Drop a claim that was resolved or lost."""
        self._path(run).unlink(missing_ok=True)
        self._sync()

    def entries(self) -> tuple[Entry, ...]:
        """Return the claims that were never dropped; a half-written file was never acted upon and is removed."""
        for left in self._directory.glob("*.new"):
            left.unlink()
        found: list[Entry] = []
        for path in sorted(self._directory.glob("*.claim")):
            try:
                found.append(decode_as(path.read_bytes(), Entry, what=path.name))
            except MalformedPayloadError:
                _log.error("a journaled claim is unreadable and is dropped", file=path.name)
                path.unlink()
        return tuple(found)

    def _path(self, run: RunKey) -> Path:
        return self._directory / f"{run.task_id}-{run.run_id}.claim"

    def _sync(self) -> None:
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
