"""The link between feedd, which holds the tracker's key, and gated, which decides.

feedd connects to gated's feed socket (or to a relay of it over ssh); the kernel tells gated who connects. Each message
is one line of JSON of at most `MAX_LINE` bytes, with its kind in `type`. gated begins with `where`; then feedd sends
`records`, `contact`, and snapshots; each of them is answered once, in order, after it is durable.

`source` is always the tracker's name in the policy.

Source: docs/reference/gate.md#feed
"""

from __future__ import annotations

from typing import Final, Protocol, TypeAlias

import msgspec

from liftlock.domain.pushes.feed import Contact, Cursor, Record

PROTOCOL: Final = 1
MAX_LINE: Final = 1_048_576
MAX_BATCH: Final = 1_000
"""Records in one message."""
MAX_SNAPSHOT: Final = 2_000_000
"""Records in one snapshot."""


class Records(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="records", forbid_unknown_fields=True
):
    """Events in the order of their `seq`. Answered by `applied`, `gap` or `resync`."""

    source: str
    epoch: str
    records: tuple[Record, ...]


class Contacted(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="contact", forbid_unknown_fields=True
):
    """The tracker answered. Answered by `applied`, or by `resync` if the feed can't go on."""

    source: str
    contact: Contact


class SnapshotBegins(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="type",
    tag="snapshot-begin",
    forbid_unknown_fields=True,
):
    """A snapshot follows in parts; another one that was under way is forgotten. Not answered."""

    source: str
    epoch: str
    head: int
    request: int | None = None


class SnapshotPart(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="type",
    tag="snapshot-part",
    forbid_unknown_fields=True,
):
    """Some records of the snapshot, in any order. Not answered."""

    source: str
    records: tuple[Record, ...]


class SnapshotEnds(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="type",
    tag="snapshot-end",
    forbid_unknown_fields=True,
):
    """The snapshot is complete if it has `count` records. Answered by `applied` or `refused`."""

    source: str
    count: int


class Reread(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="reread", forbid_unknown_fields=True
):
    """Answers `want-reread`: the bug as it is now, its `seq` being the head that was known *before* it was read.

    `record` is None if the tracker did not answer in time; that changes nothing. Not answered.
    """

    source: str
    id: int
    record: Record | None


class Where(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="where"):
    """The first message of gated: where each source goes on. A source without a cursor needs a snapshot."""

    protocol: int
    cursors: dict[str, Cursor]
    requests: dict[str, int]
    """Demands for a snapshot that are open: to be answered with that number."""


class Applied(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="applied"):
    """It is durable, or was before: everything up to `cursor` is."""

    source: str
    cursor: Cursor | None


class Gap(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="gap"):
    """Something is missing: send again from `cursor.seq + 1`."""

    source: str
    cursor: Cursor


class Resync(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="resync"):
    """Send a snapshot with this `request`. Comes as an answer, or unasked when an operator wants one."""

    source: str
    request: int
    why: str


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="refused"):
    """The message is malformed, or the snapshot must not replace what is held; what is held stays."""

    source: str
    why: str


class WantReread(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="want-reread"):
    """A push is about to be rejected because of this bug: read it again now, and answer within 1.5 seconds."""

    id: int
    source: str
    bug: int


FromFeed: TypeAlias = Records | Contacted | SnapshotBegins | SnapshotPart | SnapshotEnds | Reread
FromGate: TypeAlias = Where | Applied | Gap | Resync | Refused | WantReread


class GateLink(Protocol):
    """feedd's end of the link."""

    async def send(self, message: FromFeed) -> None:
        """Write one message; raises StorageError if the link is gone."""
        ...

    async def receive(self) -> FromGate | None:
        """Return the next message, or None when the link was closed."""
        ...
