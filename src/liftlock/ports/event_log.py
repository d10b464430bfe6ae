"""The outbox as a log that several readers follow, and where they are in it."""

from __future__ import annotations

from typing import Protocol

import msgspec

from liftlock.domain.events.naming import Message

CHANNEL = "events"
"""The wake-up channel that rings when something was added."""


class EventPage(msgspec.Struct, frozen=True):
    """Events after some place, in order.

    `upto` is where to go on. `waits`: further events wait for transactions that began earlier: look again soon.
    """

    messages: list[Message]
    upto: int
    more: bool = False
    waits: bool = False


class EventLog(Protocol):
    """Reads what was committed, each event after all that could come before it."""

    async def newest(self) -> int:
        """Return the place behind the newest event."""
        ...

    async def oldest(self) -> int:
        """Return the place before the oldest event that is still kept."""
        ...

    async def after(self, place: int, limit: int) -> EventPage:
        """Return up to `limit` rows' messages behind `place`; rows that are not for others are passed over."""
        ...


class EventFire(msgspec.Struct, frozen=True):
    """For an envelope's records: an event has fired the hook, or was refused to.

    `chain` are the hooks whose fires led to it, this one last. Raises StaleSnapshotError inside the transaction if the
    event has fired the hook already.
    """

    hook: str
    event_id: int
    task_id: str
    chain: tuple[str, ...]
    at_ms: int


class EventCursors(Protocol):
    """Where readers are that go on after a restart, and what they have done."""

    async def place(self, reader: str) -> int | None:
        """Return the reader's place, None if it never had one."""
        ...

    async def move(self, reader: str, place: int) -> None:
        """Move the reader to `place`."""
        ...

    async def chain_of(self, task_ids: list[str]) -> tuple[str, ...]:
        """Return the longest chain of hooks that led to one of these tasks by events; empty if none did."""
        ...

    async def fires_since(self, hook: str, since_ms: int) -> int:
        """Return how often events have fired the hook since then."""
        ...

    async def forget_fires(self, before_ms: int) -> None:
        """Forget which events fired what before then."""
        ...
