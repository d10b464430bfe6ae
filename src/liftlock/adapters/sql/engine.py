"""What both databases offer to the store's operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from liftlock.adapters.sql.joint import Join
from liftlock.adapters.sql.script import Dialect, Script
from liftlock.ports.envelope import Envelope

T = TypeVar("T")


class Engine(Protocol):
    """Runs scripts, each in one transaction."""

    @property
    def dialect(self) -> Dialect:
        """Which database this is; only hot paths may care."""
        ...

    async def read(self, script: Callable[[], Script[T]]) -> T:
        """Return the script's result from one consistent snapshot; the script writes nothing."""
        ...

    async def write(
        self, script: Callable[[], Script[T]], envelope: Envelope | None, join: Join | None = None
    ) -> T:
        """Run the script and commit it, durably, together with `envelope`.

        `join`, which needs an envelope, says how the same may be done for several callers at once: see `joint`.

        Raises:
            ReplayedRequestError: the envelope's nonce was used before.
            StaleSnapshotError: roles or clients changed since the envelope's `access_version`.
            StorageError: the database refused or is gone; nothing took effect.
            Whatever the script raises: nothing took effect.
        """
        ...

    async def close(self) -> None:
        """Finish what runs and release the database."""
        ...
