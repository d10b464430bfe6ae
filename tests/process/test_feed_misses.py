"""What a tracker tells late, or not at all, and clocks that are set: how feedd finds out in spite of that."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from feed_world import FeedWorld, feed_world
from shifted_clock import ShiftedClock

pytestmark = pytest.mark.process
SECRET: dict[str, Any] = {"keywords": ("sec-high",), "groups": ("core-security",)}


@pytest.fixture
def world() -> Iterator[FeedWorld]:
    with feed_world() as made:
        yield made


def backdate(world: FeedWorld, bug: int, seconds: int) -> None:
    """Have the bug's last change lie so long before now."""
    at = datetime.fromtimestamp(world.model.clock - seconds, UTC)
    world.model.bugs[bug]["last_change_time"] = at.strftime("%Y-%m-%dT%H:%M:%SZ")


def unapproved(world: FeedWorld) -> tuple[int, int]:
    """Return a bug that changed an hour ago, and its patch, which waits for approval."""
    with world.model.lock:
        bug = world.model.file(**SECRET)
        patch = world.model.attach(bug, flags=[("sec-approval", "?")])
        backdate(world, bug, 3_600)
    return bug, patch


def set_silently(world: FeedWorld, patch: int, status: str) -> None:
    """Change the flag as nobody is told: no event, no time of change."""
    with world.model.lock:
        [flag] = world.model.attachments[patch]["flags"]
        flag["status"] = status


def looked(world: FeedWorld) -> bool:
    """Tell whether feedd has ended its first look at the tracker."""
    return world.source()["known"] and world.source()["ageS"] is not None


def test_polling_finds_by_its_overlap_what_committed_up_to_ten_minutes_late(world: FeedWorld) -> None:
    world.model.file(**SECRET)
    world.configure("poll")
    world.start()
    world.until(lambda: looked(world))
    with world.model.lock:
        late, too_late = world.model.file(**SECRET), world.model.file(**SECRET)
        backdate(world, late, 600)
        backdate(world, too_late, 601)
    world.until(lambda: world.knows(late))
    other = world.model.file(**SECRET)
    world.until(lambda: world.knows(other))
    assert not world.knows(too_late), "a second more, and the overlap does not reach it"
    world.stop()
    world.start()
    world.until(lambda: world.knows(too_late))


def test_the_nightly_audit_of_polling_reads_what_no_search_and_no_time_tells_of(world: FeedWorld) -> None:
    bug, patch = unapproved(world)
    recent = world.model.file(**SECRET)
    world.configure("poll", "reconcile-s = 1")
    world.start()
    world.until(lambda: looked(world) and world.knows(bug) and world.knows(recent))
    set_silently(world, patch, "+")
    read = len(world.model.asked)
    world.until(lambda: world.model.asked[read:].count("/rest/bug/2") >= 15)
    assert world.knows(bug), "polls and a comparison of searches do not see it"
    world.stop()
    world.configure("poll", "reconcile-s = 1\naudit-s = 1")
    world.start()
    world.until(lambda: not world.knows(bug))
    set_silently(world, patch, "-")
    world.until(lambda: world.knows(bug))


def test_the_nightly_audit_of_the_extensions_feed_begins_anew(world: FeedWorld) -> None:
    bug, patch = unapproved(world)
    world.configure(more="audit-s = 1")
    world.start()
    world.until(lambda: looked(world) and world.knows(bug))
    set_silently(world, patch, "+")
    world.until(lambda: not world.knows(bug))
    assert "all is read anew now and then" in world.log
    assert world.snapshots() >= 2


@pytest.mark.parametrize("mode", ["extension", "poll"])
def test_gate_resync_makes_feedd_read_everything_again(world: FeedWorld, mode: str) -> None:
    bug, patch = unapproved(world)
    gone = world.model.file(**SECRET)
    world.configure(mode)
    world.start()
    world.until(lambda: looked(world) and world.knows(bug) and world.knows(gone))
    set_silently(world, patch, "+")
    with world.model.lock:
        world.model.bugs[gone]["keywords"] = []
        backdate(world, gone, 3_600)
    other = world.model.file(**SECRET)
    world.until(lambda: world.knows(other))
    assert world.knows(bug)
    assert world.snapshots() == 1
    done = world.gate.liftlock("resync")
    assert done.returncode == 0, done.stderr
    world.until(lambda: not world.knows(bug) and not world.knows(gone))
    assert world.knows(other)
    assert world.snapshots() == 2
    assert "an operator asked for it" in world.log


@pytest.mark.parametrize("mode", ["extension", "poll"])
def test_a_clock_that_is_set_forward_or_back_loses_no_change_and_makes_no_list_older(
    world: FeedWorld, mode: str
) -> None:
    """It begins three days ahead: for polling, all that changes then lies before what it would ask for by that clock."""
    clock = ShiftedClock(world.gate.folder)
    clock.set(3 * 86_400)
    first = world.model.file(**SECRET)
    with world.model.lock:
        backdate(world, first, 3_600)
    world.configure(mode)
    world.start(environment=clock.environment)
    world.until(lambda: looked(world) and world.knows(first))
    if mode == "poll":
        began = int(world.source()["epoch"].removeprefix("poll-").partition(".")[0])
        assert began >= world.model.clock + 3 * 86_400, "feedd goes by the clock that is set"
    for days in (3, 0, -3):
        clock.set(days * 86_400)
        patch = world.model.attach(first, flags=[("sec-approval", "+")])
        new = world.model.file(**SECRET)
        world.until(lambda new=new: world.knows(new) and not world.knows(first))
        assert 0 <= world.source()["ageS"] < 60
        world.model.obsolete(patch)
        world.until(lambda: world.knows(first))
    assert world.source()["frozen"] is None
