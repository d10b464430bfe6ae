"""What crosses from the tracker's side to the gate, and the rules by which it takes effect.

A record says of one bug whether it may land, and nothing of why it is secret. Records are whole states with a sequence
number, never differences, so that a repeated or late one can't move a bug back. Everything here is pure: both sides
of the link use it.

Source: docs/reference/gate.md#feed
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, get_args

import msgspec

Reason = Literal[
    "ordinary", "exempt", "approved", "unapproved", "requested", "denied", "no-live-patch", "unreadable"
]
"""ordinary: no selector matches; exempt: one matches and an exemption, too; approved: sensitive, with approval on a live
patch; the others are sensitive without it: never asked for, asked for, refused, no live patch, state not readable."""
REASONS: Final[frozenset[str]] = frozenset(get_args(Reason))
BLOCKING: Final = frozenset({"unapproved", "requested", "denied", "no-live-patch", "unreadable"})
NOT_SENSITIVE: Final = frozenset({"ordinary", "exempt"})

MAX_BUG: Final = 10**8 - 1
"""The greatest number that is taken for a bug."""
MAX_SEQ: Final = 2**63 - 1
"""The greatest number of an event: more can't be stored."""
MAX_UPLIFTS: Final = 64
MAX_NAME: Final = 255
BRAKE_FROM: Final = 10
"""A list of fewer sensitive bugs may shrink as it likes."""

FROZEN: Final = frozenset({"no-access", "canary-not-seen"})
"""Why a list is not to be believed to be complete: a code. The tracker's own words never cross."""

Step = Literal["apply", "duplicate", "gap", "resync"]


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the gate knows of one bug at `seq`.

    `blocked`: it must not land; equal to `reason in BLOCKING`. `uplift`: names of uplift flags that are granted, sorted
    and unique. `closed`: the tracker holds it for done.
    """

    bug: int
    seq: int
    blocked: bool
    reason: Reason
    uplift: tuple[str, ...] = ()
    closed: bool = False

    @property
    def sensitive(self) -> bool:
        """Whether a selector matches and no exemption does."""
        return self.reason not in NOT_SENSITIVE

    @property
    def says_nothing(self) -> bool:
        """Whether the bug is like one that the gate has never heard of."""
        return self.reason == "ordinary" and not self.uplift and not self.closed


class Cursor(msgspec.Struct, frozen=True):
    """How far a feed was applied: all of `epoch` up to and with `seq`."""

    epoch: str
    seq: int


class Contact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The tracker answered.

    `head`: its newest sequence number; `floor`: the oldest event that it still has (0: nothing was purged); `age_ms`: how
    long ago it answered; `frozen`: why the records are no longer to be believed to be complete, such as a bot that lost
    its group (one of `FROZEN`), or None; `highest_bug`: the greatest number in use, or None where the tracker does not say.
    """

    epoch: str
    head: int
    floor: int = 0
    age_ms: int = 0
    frozen: str | None = None
    highest_bug: int | None = None


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """All records at `head`: read the head, list, read each bug again; events after `head` are applied on top.

    `request`: the number of the gate's demand that it answers, or None if nobody asked.
    """

    epoch: str
    head: int
    records: tuple[Record, ...]
    request: int | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch leads to: `apply` in this order and move to `cursor` in one transaction, then answer `answer`."""

    apply: tuple[Record, ...]
    cursor: Cursor | None
    answer: Step


def defect(record: Record) -> str | None:
    """Return what is wrong with a record, or None."""
    if not 0 < record.bug <= MAX_BUG:
        return f"bug {record.bug}: expected 1 to {MAX_BUG}"
    if not 0 <= record.seq <= MAX_SEQ:
        return f"bug {record.bug}: seq {record.seq}: expected 0 to {MAX_SEQ}"
    if record.blocked != (record.reason in BLOCKING):
        return f"bug {record.bug}: blocked={record.blocked} contradicts the reason {record.reason}"
    if len(record.uplift) > MAX_UPLIFTS or any(not 0 < len(name) <= MAX_NAME for name in record.uplift):
        return f"bug {record.bug}: expected at most {MAX_UPLIFTS} uplift names of 1 to {MAX_NAME} characters"
    return None


def step(cursor: Cursor | None, epoch: str, seq: int) -> Step:
    """Return what an event at `seq` of `epoch` means to somebody who stands at `cursor`."""
    if cursor is None or cursor.epoch != epoch:
        return "resync"
    if seq <= cursor.seq:
        return "duplicate"
    return "apply" if seq == cursor.seq + 1 else "gap"


def plan(cursor: Cursor | None, epoch: str, records: Iterable[Record]) -> Plan:
    """Return what to do with a batch that arrived in this order.

    Duplicates are passed over. At the first gap the rest is left for the sender to send again: what came before it
    still takes effect.
    """
    taken: list[Record] = []
    answer: Step = "duplicate"
    for record in records:
        match step(cursor, epoch, record.seq):
            case "apply":
                taken.append(record)
                cursor = Cursor(epoch, record.seq)
                answer = "apply"
            case "duplicate":
                continue
            case "gap":
                answer = "gap"
                break
            case "resync":
                return Plan(apply=(), cursor=cursor, answer="resync")
    return Plan(apply=tuple(taken), cursor=cursor, answer=answer)


def prevails(held: Record | None, incoming: Record) -> bool:
    """Whether `incoming` replaces what is held: it is not older. A re-read may have overtaken the event before it."""
    return held is None or incoming.seq >= held.seq


def lost_place(cursor: Cursor | None, contact: Contact) -> str | None:
    """Return why the feed can't go on from `cursor`, or None: a snapshot is needed then."""
    if cursor is None:
        return "nothing was received yet"
    if cursor.epoch != contact.epoch:
        return "the tracker counts from a new beginning"
    if contact.head < cursor.seq:
        return "the tracker's counter went back: it was restored from a backup"
    if contact.floor > cursor.seq + 1:
        return "the tracker has purged events that were not received"
    return None


def objection(
    held: Mapping[int, Record],
    cursor: Cursor | None,
    snapshot: Snapshot,
    *,
    canary: int | None,
    request: int | None,
    accept_drop: bool,
) -> str | None:
    """Return why a snapshot must not replace what is held, or None.

    Args:
        held: What the gate knows, by bug.
        canary: A permanently sensitive bug: if it is not there, the sender sees too little.
        request: The demand that is open, or None.
        accept_drop: An operator has looked and wants it though it drops much.
    """
    if len({record.bug for record in snapshot.records}) != len(snapshot.records):
        return "it names a bug twice"
    sensitive = {record.bug for record in snapshot.records if record.sensitive}
    if canary is not None and canary not in sensitive:
        return f"the canary, bug {canary}, is not in it as sensitive: the sender's access is not what it should be"
    answers = request is not None and snapshot.request == request
    if not answers and cursor is not None and cursor.epoch == snapshot.epoch and snapshot.head < cursor.seq:
        return f"it is older than what is held: {snapshot.head}, expected at least {cursor.seq}"
    before = {bug for bug, record in held.items() if record.sensitive}
    dropped = len(before - sensitive)
    if len(before) >= BRAKE_FROM and 2 * dropped > len(before) and not accept_drop:
        return f"it drops {dropped} of {len(before)} sensitive bugs, more than half: an operator must accept that"
    return None


def first_defect(records: Sequence[Record]) -> str | None:
    """Return the first thing that is wrong with any of the records, or None."""
    return next((problem for record in records if (problem := defect(record)) is not None), None)
