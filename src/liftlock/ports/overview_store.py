"""What pages read of many pushes and tasks at once, in few statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from liftlock.domain.pushes.push import Push

MAX_GROUPS = 200
"""Groups that one listing of states may name."""


MAX_STANDINGS = 500
"""Tasks that one question may name."""


class RecentPushes(msgspec.Struct, frozen=True, kw_only=True):
    """Which pushes of all `projects`: the newest first, all conditions hold; `before` is (at in ms, project, id), exclusive."""

    projects: tuple[str, ...]
    branch: str | None = None
    level: int | None = None
    decision: str | None = None
    owner: str | None = None
    text: str | None = None
    before: tuple[int, str, int] | None = None
    limit: int = 25


class FoundPushes(msgspec.Struct, frozen=True):
    """Pushes that fit. `stopped`: the (at in ms, project, id) up to which was looked, if older ones were not; else None."""

    pushes: list[Push]
    stopped: tuple[int, str, int] | None = None


class Face(msgspec.Struct, frozen=True, kw_only=True):
    """What a task looks like: the part of its definition that listings show; it never changes.

    `crossing` names what it takes over from each dependency: (task id, artifact names).
    """

    number: int
    task_id: str
    name: str
    kind: str
    symbol: str
    queue: str
    dependencies: tuple[str, ...]
    crossing: tuple[tuple[str, tuple[str, ...]], ...] = ()


class Standing(msgspec.Struct, frozen=True):
    """How a task stands: its last run's times in ms, None where there are none."""

    number: int
    task_id: str
    state: str
    run_id: int | None
    scheduled_ms: int | None
    started_ms: int | None
    resolved_ms: int | None


class Change(msgspec.Struct, frozen=True):
    """An event of the outbox as live pages need it: `key` is what it is about; `group` the task group, or empty."""

    id: int
    topic: str
    key: str
    group: str


class OverviewStore(Protocol):
    """Reads for pages."""

    async def recent_pushes(self, wanted: RecentPushes) -> FoundPushes:
        """Return at most `wanted.limit` pushes; of those without a match only a bounded number is looked through at once."""
        ...

    async def states(self, groups: Sequence[str]) -> dict[str, dict[int, str]]:
        """Return for each group (at most `MAX_GROUPS`) the state of each task by its number."""
        ...

    async def faces(self, group: str, after_number: int, limit: int) -> list[Face]:
        """Return up to `limit` faces of the group's tasks created after `after_number`, in that order."""
        ...

    async def standings(self, task_ids: Sequence[str]) -> dict[str, Standing]:
        """Return how these tasks (at most `MAX_STANDINGS`) stand, by id; those that don't exist are left out."""
        ...

    async def last_change(self) -> int:
        """Return the number of the newest event, 0 if there never was one."""
        ...

    async def changes(self, after: int, limit: int) -> list[Change]:
        """Return up to `limit` events numbered above `after`, ascending."""
        ...
