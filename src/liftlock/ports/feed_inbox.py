"""What feedd keeps: the events that the gate has not acknowledged, how far it read, and which bugs it met.

Source: docs/reference/gate-feed.md#inbox
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from liftlock.domain.pushes.tracker_event import TrackerEvent
from liftlock.domain.pushes.tracker_page import Place


class Known(msgspec.Struct, frozen=True):
    """A bug that was read: digest of its state, and whether it says anything to the gate."""

    digest: str
    matters: bool


class EventCursor(msgspec.Struct, frozen=True):
    """Up to where events are kept: number `seq` of `epoch`; an empty epoch: none are."""

    epoch: str
    seq: int


class FeedInbox(Protocol):
    """Durable when a call returns; every method raises StorageError."""

    def place(self, source: str) -> Place | None:
        """Return how far the source was read, or None if it never was."""
        ...

    def rebase(self, source: str, epoch: str, head: int) -> None:
        """Drop what is kept and go on after `head` of `epoch`: the gate will see that it needs a snapshot."""
        ...

    def append(
        self,
        source: str,
        events: Sequence[TrackerEvent],
        known: Mapping[int, Known],
        *,
        watermark: str | None = None,
    ) -> None:
        """Keep events that follow on the place, and move it, all or nothing."""
        ...

    def after(self, source: str, seq: int, limit: int) -> list[TrackerEvent]:
        """Return the oldest events after `seq`."""
        ...

    def acknowledge(self, source: str, seq: int) -> None:
        """Forget the events up to and with `seq`: the gate has them."""
        ...

    def known(self, source: str) -> dict[int, Known]:
        """Return the bugs that were read."""
        ...

    def know(self, source: str, known: Mapping[int, Known]) -> None:
        """Remember bugs that were read."""
        ...

    def use_nonce(self, source: str, nonce: str, now_s: int, kept_s: int) -> bool:
        """Return True and remember the nonce for `kept_s`, or False if it was used within that time."""
        ...

    def close(self) -> None:
        """Release the files."""
        ...
