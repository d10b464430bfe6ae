"""What gated keeps: the list of bugs, how far each feed was applied, overrides, and its own audit trail.

Calls block until what they did is durable; gated makes them one at a time, in a thread of its own.

Source: docs/reference/gate.md#state-of-gated
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from liftlock.domain.pushes.feed import Cursor, Record

Kind = Literal["push", "override", "feed", "quota", "slipped", "hook", "operator"]


class StoredFeed(msgspec.Struct, frozen=True, kw_only=True):
    """One feed as it was left. `contacted_ms`: wall-clock time of the last contact; None: never."""

    source: str
    cursor: Cursor | None
    contacted_ms: int | None
    frozen: str | None
    highest_bug: int | None
    records: Mapping[int, Record]


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """An operator lets one bug pass until a time. `repository`: there alone; None: everywhere."""

    id: int = 0
    source: str
    bug: int
    repository: str | None
    until_ms: int
    by: str
    reason: str
    at_ms: int


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the audit trail. `details` is JSON and never leaves gated but to operators."""

    at_ms: int
    kind: Kind
    repository: str
    actor: str
    outcome: str
    details: dict[str, Any]


class Hit(msgspec.Struct, frozen=True):
    """`pusher` was shown that `bug` is sensitive."""

    pusher: str
    bug: int
    at_ms: int


class Passed(msgspec.Struct, frozen=True):
    """A commit was let in by an override, against a rule and in spite of a bug. Whoever asked named the commit."""

    repository: str
    revision: str
    bug: int
    rule: str
    at_ms: int


class Firing(msgspec.Struct, frozen=True, kw_only=True):
    """When a hook of a repository last asked, and what it was told."""

    repository: str
    hook: str
    at_ms: int
    outcome: str
    pushes: int


class GateState(Protocol):
    """Durable state; every method raises StorageError if it can't be read or written."""

    def feeds(self) -> list[StoredFeed]:
        """Return every feed with all its records."""
        ...

    def apply(self, source: str, cursor: Cursor, records: Sequence[Record]) -> None:
        """Write the records and move the cursor, both or none. Records that say nothing are removed."""
        ...

    def replace(self, source: str, cursor: Cursor, records: Sequence[Record]) -> None:
        """Swap all records of the source for these and set the cursor, all or nothing."""
        ...

    def contacted(self, source: str, at_ms: int | None, frozen: str | None, highest_bug: int | None) -> None:
        """Note what the last contact said."""
        ...

    def overrides(self, now_ms: int) -> list[Override]:
        """Return those that hold, oldest first."""
        ...

    def grant(self, override: Override, entry: Entry) -> Override:
        """Store an override with its audit entry and return it with its number."""
        ...

    def revoke(self, source: str, bug: int, repository: str | None, now_ms: int, entry: Entry) -> int:
        """End what holds for a bug in this repository alone (None: anywhere); return how many overrides that were."""
        ...

    def record(self, entries: Sequence[Entry], hits: Sequence[Hit], passed: Sequence[Passed]) -> None:
        """Append to the audit trail, with what was shown and let in; of the last, what is old or too much is dropped."""
        ...

    def entries(self, limit: int, kind: str | None) -> list[Entry]:
        """Return the newest entries, newest first."""
        ...

    def hits(self, after_ms: int) -> list[Hit]:
        """Return what pushers were shown after a time."""
        ...

    def passed(self, source: str, repository: str, revisions: Sequence[str]) -> list[Passed]:
        """Return what overrides let in of these commits: only where such an override was in force at that time."""
        ...

    def fired(self, firings: Sequence[Firing]) -> None:
        """Remember when hooks last asked."""
        ...

    def firings(self) -> list[Firing]:
        """Return when each hook last asked, by repository and hook."""
        ...

    def audited(self, repository: str) -> dict[str, str]:
        """Return the head of each ref up to which a repository was audited. They outlive damage to all the rest."""
        ...

    def lost_ms(self) -> int | None:
        """Return when a damaged state was last put aside, or None if that never happened."""
        ...

    def set_audited(
        self, repository: str, heads: Mapping[str, str], at_ms: int, entries: Sequence[Entry]
    ) -> None:
        """Replace those heads, together with what the audit found."""
        ...

    def close(self) -> None:
        """Release the files."""
        ...
