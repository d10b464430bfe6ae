"""A bug tracker, read with a key that sees security bugs. Only feedd holds such a key.

Source: docs/reference/gate-feed.md#trackers
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from liftlock.domain.pushes.bug_state import BugState
from liftlock.domain.pushes.tracker_page import Page
from liftlock.errors import StorageError


class TrackerUnavailableError(StorageError):
    """The tracker did not answer, or answered what is no answer: nothing is known by it."""


class TrackerAccessError(StorageError):
    """The tracker answered that the key has not, or no longer, the access that the feed needs."""


class Changed(msgspec.Struct, frozen=True):
    """A bug and the time of its last change, as the tracker writes it."""

    bug: int
    at: str


class Tracker(Protocol):
    """Every method raises TrackerUnavailableError or TrackerAccessError."""

    async def page(self, since: int) -> Page:
        """Return the events after `since` of the tracker's own numbered feed, oldest first, with whole states."""
        ...

    async def changed(self, since: str) -> tuple[Changed, ...]:
        """Return the bugs that the key sees and that changed at or after a time (`2026-01-31T12:00:00Z`)."""
        ...

    async def search(self, query: Mapping[str, str]) -> tuple[Changed, ...]:
        """Return the bugs that the key sees and the query finds. A bug that is missing may be hidden, not gone."""
        ...

    async def whole(self, query: Mapping[str, str]) -> dict[int, BugState] | None:
        """Return what a search finds with the states of the bugs, or None if the tracker can't tell both at once."""
        ...

    async def highest(self) -> int | None:
        """Return the greatest number of a bug that the key sees, or None if the tracker can't tell."""
        ...

    async def read(self, bug: int) -> BugState | None:
        """Return the bug as it is now, unreadable if it is hidden, or None if there is no such bug."""
        ...
