"""Events of a tracker: their form, what of them crosses, how a reader goes on, and signatures of senders."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.domain.pushes.bug_state import BugState, Patch
from liftlock.domain.pushes.feed_settings import parse_feed_settings
from liftlock.domain.pushes.selectors import parse_selectors
from liftlock.domain.pushes.tracker_event import (
    TrackerEvent,
    crossing,
    gate_epoch,
    parse_event,
    sign_push,
    verify_push,
)
from liftlock.domain.pushes.tracker_page import Page, Place, asked_from, identity, progress
from liftlock.errors import AuthenticationFailedError, InputInvalidError, MalformedPayloadError
from liftlock.values import json

SELECTORS = parse_selectors({})


def event(seq: int, bug: int = 7, why: str = "flag", state: BugState | None = None) -> TrackerEvent:
    return TrackerEvent(source="tracker", epoch="e", seq=seq, bug=bug, why=why, state=state)


def page(*events: TrackerEvent, head: int, epoch: str = "e", floor: int = 1) -> Page:
    return Page(epoch=epoch, head=head, floor=floor, events=events)


def place(head: int, last: str = "") -> Place:
    return Place(epoch="e", generation=1, head=head, floor=head + 1, last=last)


def test_another_history_with_the_same_bug_at_the_same_number_is_seen_by_its_time() -> None:
    read, told = (msgspec.structs.replace(event(5), at=f"2026-01-0{day}") for day in (1, 2))
    assert progress(place(5, identity(read)), page(read, event(6), head=6)).do == "append"
    assert "another history" in progress(place(5, identity(read)), page(told, event(6), head=6)).why


def test_only_verdicts_cross_and_nothing_of_why_a_bug_is_secret() -> None:
    state = BugState(
        keywords=("sec-high", "csectype-uaf"),
        groups=("core-security",),
        status="NEW",
        status_flags={"cf_status_beta": "affected"},
        patches=(Patch(id=1, live=True, kind="patch", flags={"sec-approval": "?", "approval-beta": "+"}),),
    )
    (record,) = crossing(SELECTORS, [event(3, state=state)])
    assert json.decode(json.encode(record)) == {
        "bug": 7,
        "seq": 3,
        "blocked": True,
        "reason": "requested",
        "uplift": ["approval-beta"],
        "closed": False,
    }


def test_an_event_without_a_state_crosses_as_unreadable() -> None:
    (record,) = crossing(SELECTORS, [event(3)])
    assert (record.blocked, record.reason) == (True, "unreadable")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"v": 2}, "event: Invalid enum value 2"),
        ({"seq": 0}, "event: seq 0: expected 1 to 9223372036854775807"),
        ({"seq": 2**63}, "event: seq 9223372036854775808: expected 1 to"),
        ({"bug": 10**8}, "event: bug 100000000: expected 0 to 99999999"),
        ({"epoch": ""}, "event: expected an epoch of 1 to 64 characters"),
        ({"delta": {}}, "unknown field `delta`"),
    ],
)
def test_what_is_no_event_is_refused(change: dict[str, object], text: str) -> None:
    good = {"v": 1, "source": "tracker", "epoch": "e", "seq": 1, "bug": 7, "why": "flag"}
    assert parse_event(good).bug == 7
    with pytest.raises(MalformedPayloadError, match=text):
        parse_event({**good, **change})


def test_other_selectors_or_a_new_beginning_are_another_epoch_for_the_gate() -> None:
    other = parse_selectors({"sensitive": "keyword:csectype-sandbox-escape"})
    names = {gate_epoch("e", 1, SELECTORS), gate_epoch("e", 2, SELECTORS), gate_epoch("e", 1, other)}
    assert len(names) == 3
    assert gate_epoch("e", 1, SELECTORS) == gate_epoch("e", 1, parse_selectors({}))


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (page(head=9, epoch="f"), "the tracker counts from a new beginning"),
        (page(head=4), "the tracker's counter went back: it was restored from a backup"),
        (page(head=9, floor=7), "the tracker has purged events that were not read"),
        (page(event(5, bug=8), head=9), "the tracker tells another history: it was restored from a backup"),
        (page(event(6, bug=0, why="resync:Keyword"), head=6), "it concerns every bug: resync:Keyword"),
    ],
)
def test_a_reader_that_lost_its_place_begins_anew(answer: Page, why: str) -> None:
    found = progress(place(5, "7 flag"), answer)
    assert (found.do, found.why) == ("rebase", why)
    assert (found.epoch, found.head) == (answer.epoch, answer.head)


def test_a_floor_just_above_the_place_loses_nothing() -> None:
    assert progress(place(5), page(event(6), head=6, floor=6)).do == "append"


def test_a_gap_holds_what_comes_after_it_and_asks_again() -> None:
    found = progress(place(5), page(event(6), event(8), head=8))
    assert [each.seq for each in found.events] == [6]
    assert progress(place(6), page(event(8), head=8)).do == "ask-again"
    assert progress(place(6), page(head=8)).do == "ask-again"


@given(st.permutations(range(1, 13)), st.integers(0, 12), st.lists(st.integers(1, 12), max_size=5))
def test_duplicates_and_another_order_change_nothing(order: list[int], head: int, again: list[int]) -> None:
    found = progress(place(head), page(*(event(seq) for seq in [*order, *again]), head=12))
    assert [each.seq for each in found.events] == list(range(head + 1, 13))


def test_the_last_event_is_asked_for_once_more() -> None:
    assert [asked_from(None), asked_from(place(0)), asked_from(place(5))] == [0, 0, 4]


def signed(**change: object) -> None:
    given = {"key_id": "k", "ts": 1_000, "nonce": "n", "body": b"{}"}
    signature = sign_push(b"secret", **given)  # type: ignore[arg-type]
    verify_push(**{"secret": b"secret", "signature": signature, "now_s": 1_000, **given, **change})  # type: ignore[arg-type]


@pytest.mark.parametrize("now_s", [700, 1_000, 1_300])
def test_a_signed_push_is_believed_within_five_minutes(now_s: int) -> None:
    signed(now_s=now_s)


@pytest.mark.parametrize(
    "change",
    [
        {"now_s": 1_301},
        {"now_s": 699},
        {"body": b"{ }"},
        {"nonce": "m"},
        {"nonce": ""},
        {"key_id": "k|1000"},
        {"secret": b"other"},
        {"signature": "é"},
    ],
)
def test_any_other_push_is_not(change: dict[str, object]) -> None:
    with pytest.raises(AuthenticationFailedError):
        signed(**change)


GOOD = """
version = 1
gate = "/run/gate/feed.sock"
[source.tracker]
address = "https://bugzilla.example.org/"
key-file = "/etc/key"
"""


def test_settings_have_defaults() -> None:
    (source,) = parse_feed_settings(GOOD).sources
    assert (source.name, source.address, source.interval_s) == (
        "tracker",
        "https://bugzilla.example.org",
        0.5,
    )
    assert source.search == ({"keywords": "sec-high,sec-critical", "keywords_type": "anywords"},)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("https://", "http://", "source.tracker.address: expected https://"),
        ("https://", "https://key@", "source.tracker.address: expected https://"),
        ("key-file", "key", "settings: "),
        ("[source.tracker]", "[source.tracker]\ncanary = 0x7fffffff", "canary: expected 1 to"),
        ("[source.tracker]", "[source.tracker]\ninterval-ms = 10", "interval-ms: expected 50 to"),
        (
            "[source.tracker]",
            '[source.tracker]\nselectors = {sensitive = "keyword"}',
            "selectors.sensitive: expected",
        ),
    ],
)
def test_settings_that_make_no_sense_or_bare_the_key_are_refused(old: str, new: str, text: str) -> None:
    with pytest.raises(InputInvalidError, match=text):
        parse_feed_settings(GOOD.replace(old, new))
