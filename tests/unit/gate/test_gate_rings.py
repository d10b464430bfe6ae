"""What rings of strangers cost the tracker, and what they leave in the inbox."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from liftlock.adapters.feed_inbox.sqlite import SqliteFeedInbox
from liftlock.adapters.system.clock import SystemClock
from liftlock.domain.pushes.bug_state import BugState
from liftlock.domain.pushes.feed_settings import parse_feed_settings
from liftlock.domain.pushes.tracker_page import Page
from liftlock.domain.pushes.tracker_webhook import ANY
from liftlock.gate.tracker_intake import MAX_READS, TrackerIntake
from liftlock.ports.tracker import Changed, TrackerUnavailableError

SETTINGS = 'version=1\ngate="/x"\n[source.t]\naddress="https://x"\nkey-file="/k"\nmode="poll"\n'
SECRET = 7


class CountedTracker:
    """A hundred ordinary bugs have just changed; bug 7 is sensitive, and above 1000 there is none."""

    def __init__(self) -> None:
        self.polls = 0
        self.reads = 0

    async def page(self, since: int) -> Page:
        raise TrackerUnavailableError("no extension")

    async def changed(self, since: str) -> tuple[Changed, ...]:
        self.polls += 1
        return tuple(Changed(bug, "2026-01-01T00:00:00Z") for bug in range(101, 201))

    async def search(self, query: Mapping[str, str]) -> tuple[Changed, ...]:
        return ()

    async def whole(self, query: Mapping[str, str]) -> dict[int, BugState] | None:
        return None

    async def highest(self) -> int | None:
        return 1_000

    async def read(self, bug: int) -> BugState | None:
        self.reads += 1
        return None if bug > 1_000 else BugState(keywords=("sec-high",) if bug == SECRET else ("perf",))


@pytest.fixture
def tracker() -> CountedTracker:
    return CountedTracker()


@pytest.fixture
def inbox(tmp_path: Path) -> SqliteFeedInbox:
    return SqliteFeedInbox(tmp_path / "inbox.db", 0)


async def begun(tracker: CountedTracker, inbox: SqliteFeedInbox) -> TrackerIntake:
    intake = TrackerIntake(parse_feed_settings(SETTINGS).sources[0], tracker, inbox, SystemClock())
    await intake.round()
    tracker.polls = tracker.reads = 0
    return intake


async def test_however_often_somebody_rings_without_a_number_the_tracker_is_polled_once_in_a_while(
    tracker: CountedTracker, inbox: SqliteFeedInbox
) -> None:
    intake = await begun(tracker, inbox)
    for _ in range(20):
        intake.rung(ANY)
        await intake.round()
    assert tracker.polls == 1


async def test_bugs_that_are_rung_for_are_read_some_at_once_and_the_others_later(
    tracker: CountedTracker, inbox: SqliteFeedInbox
) -> None:
    intake = await begun(tracker, inbox)
    for turn in range(10):
        for bug in range(100):
            intake.rung(5_000_000 + 100 * turn + bug)
        await intake.round()
    assert tracker.reads <= MAX_READS + 100 + 5, "what overflows is one poll"


async def test_bugs_of_which_nothing_is_to_be_said_leave_no_trace(
    tracker: CountedTracker, inbox: SqliteFeedInbox
) -> None:
    intake = await begun(tracker, inbox)
    for bug in (5_000_000, 50, SECRET):
        intake.rung(bug)
    await intake.round()
    assert set(inbox.known("t")) == {SECRET}


async def test_a_ring_that_came_too_soon_is_followed_later(
    tracker: CountedTracker, inbox: SqliteFeedInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("liftlock.gate.tracker_intake.ANY_EVERY_S", 0.2)
    intake = await begun(tracker, inbox)
    for _ in range(2):
        intake.rung(ANY)
        await intake.round()
    assert tracker.polls == 1
    following = asyncio.create_task(intake.follow())
    await asyncio.sleep(1.0)
    following.cancel()
    assert tracker.polls == 2
