"""Up to when the scheduled runs of branches have been decided."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

import msgspec

from liftlock.ports.envelope import Envelope


class CronState(msgspec.Struct, frozen=True):
    """A scheduled run of a branch: all its times up to `decided` are done with. `task_id`, `result`: of the last one."""

    project: str
    branch: str
    name: str
    decided: datetime
    task_id: str = ""
    result: str = ""


class CronDecided(msgspec.Struct, frozen=True):
    """For an envelope's records: `state` replaces the one that was decided up to `before` (None: there was none).

    Raises StaleSnapshotError inside the transaction if it is another one: somebody else was faster.
    """

    state: CronState
    before: datetime | None


class CronStore(Protocol):
    """Keeps what was decided."""

    async def states(self, project: str) -> list[CronState]:
        """Return the states of the project's runs, by branch and name."""
        ...

    async def decide(self, decided: CronDecided, envelope: Envelope) -> None:
        """Store the state without a task; errors as `CronDecided`."""
        ...
