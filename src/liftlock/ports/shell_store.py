"""What people type into the shells of interactive tasks, kept until the worker has it, and some time longer."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

import msgspec

from liftlock.ports.envelope import Envelope


class ShellSize(msgspec.Struct, frozen=True):
    """Of a terminal, in characters."""

    columns: int
    rows: int


class ShellInput(msgspec.Struct, frozen=True):
    """One piece; `seq` counts from 1 for each run. `size`: how large the terminal is from now on, None: as before."""

    seq: int
    actor: str
    data: bytes
    size: ShellSize | None


class ShellStore(Protocol):
    """Keeps input. Channel `shell:<taskId>/<runId>` is woken with each piece."""

    async def type(
        self, task_id: str, run_id: int, data: bytes, size: ShellSize | None, actor: str, envelope: Envelope
    ) -> int:
        """Add a piece to the run's input and return its number.

        Raises:
            NotFoundError: there is no such task.
            ConflictError: that run is not running.
        """
        ...

    async def typed(self, task_id: str, run_id: int, after: int, limit: int) -> list[ShellInput]:
        """Return up to `limit` pieces after the number `after`, in order."""
        ...

    async def has_typed(self, task_id: str, run_id: int, actor: str) -> bool:
        """Tell whether a piece of that run's input is `actor`'s."""
        ...

    async def forget(self, before: datetime) -> None:
        """Remove pieces from before then."""
        ...
