"""How records take effect: duplicates, replays, gaps, epochs, snapshots, the brake and the canary."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.domain.pushes.feed import (
    BLOCKING,
    BRAKE_FROM,
    Contact,
    Cursor,
    Reason,
    Record,
    Snapshot,
    defect,
    lost_place,
    objection,
    plan,
    prevails,
    step,
)


def record(bug: int, seq: int, reason: Reason = "unapproved") -> Record:
    return Record(bug=bug, seq=seq, blocked=reason in BLOCKING, reason=reason)


@pytest.mark.parametrize(
    ("cursor", "epoch", "seq", "expected"),
    [
        (None, "e", 1, "resync"),
        (Cursor("e", 5), "f", 6, "resync"),
        (Cursor("e", 5), "e", 5, "duplicate"),
        (Cursor("e", 5), "e", 1, "duplicate"),
        (Cursor("e", 5), "e", 6, "apply"),
        (Cursor("e", 5), "e", 7, "gap"),
    ],
)
def test_each_event_is_applied_passed_over_asked_for_again_or_needs_a_snapshot(
    cursor: Cursor | None, epoch: str, seq: int, expected: str
) -> None:
    assert step(cursor, epoch, seq) == expected


def test_what_comes_before_a_gap_takes_effect_and_the_rest_is_sent_again() -> None:
    found = plan(Cursor("e", 5), "e", [record(1, 6), record(2, 7), record(3, 9)])
    assert [each.bug for each in found.apply] == [1, 2]
    assert (found.cursor, found.answer) == (Cursor("e", 7), "gap")


def test_a_replayed_batch_changes_nothing() -> None:
    found = plan(Cursor("e", 5), "e", [record(1, 3), record(2, 4), record(3, 5)])
    assert (found.apply, found.cursor, found.answer) == ((), Cursor("e", 5), "duplicate")


def test_another_epoch_applies_nothing() -> None:
    assert plan(Cursor("e", 5), "f", [record(1, 6)]).answer == "resync"


@given(st.lists(st.integers(1, 30), max_size=60))
def test_in_whatever_order_events_arrive_they_take_effect_in_order_and_once(order: list[int]) -> None:
    cursor, applied = Cursor("e", 0), []
    for seq in order:
        found = plan(cursor, "e", [record(seq, seq)])
        applied += [each.seq for each in found.apply]
        assert found.cursor is not None
        cursor = found.cursor
    assert applied == list(range(1, cursor.seq + 1))


def test_an_older_state_never_replaces_a_newer_one() -> None:
    assert prevails(None, record(1, 5))
    assert prevails(record(1, 5), record(1, 5))
    assert not prevails(record(1, 6), record(1, 5))


@pytest.mark.parametrize(
    ("contact", "why"),
    [
        (Contact(epoch="e", head=9), None),
        (Contact(epoch="f", head=9), "new beginning"),
        (Contact(epoch="e", head=4), "restored from a backup"),
        (Contact(epoch="e", head=9, floor=7), "purged"),
        (Contact(epoch="e", head=9, floor=6), None),
    ],
)
def test_a_contact_shows_when_the_feed_cannot_go_on(contact: Contact, why: str | None) -> None:
    found = lost_place(Cursor("e", 5), contact)
    assert (found is None) if why is None else (found is not None and why in found)


def held(count: int) -> dict[int, Record]:
    return {bug: record(bug, 1) for bug in range(1, count + 1)}


def snapshot(bugs: range, head: int = 9, epoch: str = "e", request: int | None = None) -> Snapshot:
    return Snapshot(epoch=epoch, head=head, records=tuple(record(bug, head) for bug in bugs), request=request)


def object_to(count: int, found: Snapshot, *, canary: int | None = None, accept: bool = False) -> str | None:
    return objection(held(count), Cursor("e", 5), found, canary=canary, request=3, accept_drop=accept)


def test_a_snapshot_that_drops_more_than_half_is_refused_unless_an_operator_accepts_it() -> None:
    assert object_to(10, snapshot(range(1, 6))) is None
    assert "drops 6 of 10" in (object_to(10, snapshot(range(1, 5))) or "")
    assert object_to(10, snapshot(range(1, 5)), accept=True) is None
    assert object_to(BRAKE_FROM - 1, snapshot(range(1, 2))) is None


def test_an_empty_snapshot_of_a_bot_that_lost_its_group_is_refused() -> None:
    assert "drops 10 of 10" in (object_to(10, snapshot(range(0))) or "")


def test_a_snapshot_without_the_canary_is_refused_even_if_an_operator_accepts_drops() -> None:
    assert "canary" in (object_to(3, snapshot(range(1, 4)), canary=99, accept=True) or "")
    assert object_to(3, snapshot(range(1, 4)), canary=2) is None


def test_an_old_snapshot_is_refused_unless_it_answers_a_demand() -> None:
    assert "older" in (object_to(3, snapshot(range(1, 4), head=4)) or "")
    assert object_to(3, snapshot(range(1, 4), head=4, request=3)) is None
    assert object_to(3, snapshot(range(1, 4), head=4, epoch="f")) is None


def test_a_snapshot_that_names_a_bug_twice_is_refused() -> None:
    twice = Snapshot(epoch="e", head=9, records=(record(1, 9), record(1, 8)))
    assert "twice" in (object_to(1, twice) or "")


def test_records_that_contradict_themselves_are_found() -> None:
    assert defect(record(1, 1)) is None
    assert "contradicts" in (defect(Record(bug=1, seq=1, blocked=False, reason="denied")) or "")
    assert "bug 0" in (defect(record(0, 1)) or "")
    assert "seq -1: expected 0 to 9223372036854775807" in (defect(record(1, -1)) or "")
    assert defect(record(1, 2**63 - 1)) is None
    assert "seq 9223372036854775808: expected" in (defect(record(1, 2**63)) or "")
    long = Record(bug=1, seq=1, blocked=False, reason="ordinary", uplift=("x" * 256,))
    assert "uplift" in (defect(long) or "")
