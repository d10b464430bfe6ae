"""The whole way: a change in a tracker, feedd, gated, and a real push; and what happens when parts of it fail."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from feed_world import FeedWorld, feed_world
from gate_world import MercurialPair
from liftlock.processes.demo.tracker_server import KEYS

pytestmark = pytest.mark.process
SECRET = {"keywords": ("sec-high",), "groups": ("core-security",)}


@pytest.fixture
def world() -> Iterator[FeedWorld]:
    with feed_world() as made:
        yield made


@pytest.fixture
def bug(world: FeedWorld) -> int:
    """A sensitive bug that feedd, running, has told the gate of."""
    made = world.model.file(**SECRET)
    world.start()
    world.until_known()
    return made


def test_an_approval_granted_in_the_tracker_lets_the_same_push_in(world: FeedWorld) -> None:
    """How long it takes is measured by `benchmarks/gate.py`: at most two seconds."""
    bug = world.model.file(keywords=("sec-high",), groups=("core-security",))
    patch = world.model.attach(bug)
    world.model.flag(patch, "sec-approval", "?")
    world.start()
    world.until_known()
    assert world.push("Bug 999 - ordinary")
    assert not world.push(f"Bug {bug} - overflow. a=dveditz")
    world.model.flag(patch, "sec-approval", "+")
    granted = time.monotonic()
    while not world.again():
        assert time.monotonic() - granted < 30, world.log
    assert world.process is not None
    assert KEYS["BOT"] not in world.log + world.gate.log


def test_with_the_tracker_down_the_list_holds_and_ages_and_its_changes_come_when_it_is_back(
    world: FeedWorld, bug: int
) -> None:
    world.model.down = True
    world.until(lambda: world.source()["ageS"] > 1)
    assert world.push("Bug 999 - ordinary")
    assert world.blocked(bug)
    other = world.model.file(**SECRET)
    assert not world.knows(other)
    world.model.down = False
    world.until(lambda: world.knows(other))
    world.until(lambda: world.source()["ageS"] < 1)


def test_feedd_killed_in_the_middle_of_many_changes_loses_none(world: FeedWorld, bug: int) -> None:
    made = [world.model.file(**SECRET) for _ in range(600)]
    time.sleep(0.15)
    world.stop(signal.SIGKILL)
    made += [world.model.file(**SECRET) for _ in range(3)]
    world.start()
    world.until_known()
    assert world.source()["sensitive"] == 604
    assert world.snapshots() == 1, "it went on where it was"
    assert all(world.knows(each) for each in (made[0], made[-1]))


def test_changes_while_gated_is_down_wait_in_the_inbox(world: FeedWorld, bug: int) -> None:
    world.gate.stop(signal.SIGKILL)
    other = world.model.file(**SECRET)
    time.sleep(0.3)
    world.gate.start()
    world.until(lambda: world.knows(other))
    assert world.snapshots() == 1


def test_events_in_another_order_and_twice_end_in_the_same_list(world: FeedWorld, bug: int) -> None:
    world.model.disorder = True
    patch = world.model.attach(bug)
    for status in "?-?+":
        world.model.flag(patch, "sec-approval", status)
    others = [world.model.file(**SECRET) for _ in range(5)]
    world.until_known()
    assert world.push(f"Bug {bug} - x. a=dveditz")
    assert all(world.knows(each) for each in others)


def test_a_gap_is_asked_for_again_and_one_that_never_closes_means_a_new_list(
    world: FeedWorld, bug: int
) -> None:
    with world.model.lock:
        world.model.withheld = {world.model.head + 1}
        first, second = world.model.file(**SECRET), world.model.file(**SECRET)
    world.until(lambda: "a gap in the tracker's feed" in world.log)
    assert not world.knows(second), "what comes after a gap waits"
    world.until(lambda: world.knows(first) and world.knows(second))
    assert "a gap does not close" in world.log


def test_purged_events_mean_a_new_list(world: FeedWorld, bug: int) -> None:
    world.stop()
    other = world.model.file(**SECRET)
    world.model.file()
    world.model.floor = world.model.head
    world.start()
    world.until(lambda: world.knows(other))
    assert "has purged events that were not read" in world.log


@pytest.mark.parametrize("how", ["epoch", "counter", "history"])
def test_a_tracker_restored_from_a_backup_is_noticed_and_its_list_taken(
    world: FeedWorld, bug: int, how: str
) -> None:
    lost = world.model.file(**SECRET)
    world.until(lambda: world.knows(lost))
    with world.model.lock:
        world.model.change(lost, keywords=[], groups=[])
        del world.model.rows[-2:]
        world.model.head -= 2
        if how == "epoch":
            world.model.epoch = "another"
        if how == "history":
            world.model.ring(bug, "one")
            world.model.ring(bug, "other")
    world.until(lambda: not world.knows(lost))
    assert world.knows(bug)


@pytest.mark.parametrize("what", ["Bugzilla::Keyword", "Bugzilla::Group", "Bugzilla::FlagType"])
def test_a_keyword_group_or_flag_that_is_renamed_means_a_new_list(
    world: FeedWorld, bug: int, what: str
) -> None:
    """Bugs that nobody touched mean something else now, and the tracker tells of none of them."""
    with world.model.lock:
        world.model.bugs[bug]["keywords"] = ["security-high"]
        world.model.ring(0, f"resync:{what}")
    world.until(lambda: not world.knows(bug))
    assert "it concerns every bug" in world.log


def test_a_bot_that_lost_its_access_freezes_the_list_and_thaws_it(world: FeedWorld, bug: int) -> None:
    world.model.bot_has_access = False
    world.until(lambda: world.source()["frozen"])
    assert world.source()["frozen"] == "no-access"
    assert world.blocked(bug)
    other = world.model.file(**SECRET)
    time.sleep(0.3)
    assert world.source()["sensitive"] == 1
    world.model.bot_has_access = True
    began = time.monotonic()
    world.until(lambda: world.knows(other))
    assert time.monotonic() - began < 20, "what waited is sent as soon as the list is thawed"
    assert world.source()["frozen"] is None


def test_polling_a_bot_that_sees_nothing_of_the_canary_freezes_the_list(world: FeedWorld) -> None:
    """Without the extension a lost group answers 200 with no bugs."""
    canary = world.model.file(**SECRET)
    world.configure("poll", f"canary = {canary}")
    world.start()
    world.until(lambda: world.source()["sensitive"] == 1)
    world.model.bot_has_access = False
    world.stop()
    world.start()
    world.until(lambda: world.source()["frozen"])
    assert world.source()["frozen"] == "canary-not-seen"
    assert world.source()["sensitive"] == 1


def test_a_corrupt_inbox_is_put_aside_and_the_list_is_read_anew(world: FeedWorld, bug: int) -> None:
    world.stop()
    for path in world.state.glob("feed.db*"):
        path.write_bytes(b"no database at all" * 500)
    other = world.model.file(**SECRET)
    world.start()
    world.until(lambda: world.knows(other))
    assert "the inbox was corrupt and is put aside" in world.log
    assert list(world.state.glob("feed.db.corrupt-*"))


def test_polling_finds_changes_and_by_reconciling_also_one_that_committed_late(world: FeedWorld) -> None:
    seen = world.model.file(**SECRET)
    world.configure("poll")
    world.start()
    world.until(lambda: world.knows(seen))
    with world.model.lock:
        late = world.model.file(**SECRET)
        world.model.hidden_changes.add(late)
        world.model.tick()
        other = world.model.file(**SECRET)
    world.until(lambda: world.knows(other))
    assert not world.knows(late), "its transaction began before, and committed after the poll"
    world.stop()
    world.configure("poll", "reconcile-s = 1")
    world.start()
    world.until(lambda: world.knows(late))


def test_polling_a_bug_that_no_search_finds_is_not_cleared_by_that(world: FeedWorld) -> None:
    bug = world.model.file(**SECRET)
    world.configure("poll", "reconcile-s = 1")
    world.start()
    world.until(lambda: world.knows(bug))
    with world.model.lock:
        world.model.bugs[bug]["groups"] = ["another-group"]
        world.model.bot_has_access = False
    time.sleep(1.5)
    assert world.knows(bug)


def test_other_selectors_mean_a_new_list(world: FeedWorld, bug: int) -> None:
    world.stop()
    world.configure(more='[source.tracker.selectors]\nsensitive = "keyword:csectype-sandbox-escape"')
    world.start()
    world.until(lambda: not world.knows(bug))


def test_a_slow_tracker_delays_no_verdict_beyond_the_deadline(world: FeedWorld, bug: int) -> None:
    """The re-read before a rejection has its own end, and the hook does not give up before it."""
    world.pair.commit(f"Bug {bug} - x. a=dveditz")
    with world.model.lock:
        done = world.pair.push()
    assert done.returncode == 1
    assert f"names bug {bug}" in done.stderr
    assert "too slow for a re-read" in world.log


def test_mercurial_as_well_takes_the_push_once_approval_is_granted(world: FeedWorld, bug: int) -> None:
    pair = MercurialPair(world.gate, "hg-widget")
    pair.commit(f"Bug {bug} - overflow. a=dveditz")
    done = pair.push()
    assert done.returncode == 255, done.stdout
    assert f"names bug {bug}" in done.stdout + done.stderr
    world.model.flag(
        world.model.attach(bug, content_type="text/x-phabricator-request", is_patch=False),
        "sec-approval",
        "+",
    )
    world.until(lambda: pair.push().returncode == 0)
    assert pair.revisions() == 1


def test_a_number_far_above_the_trackers_newest_bug_is_wrong(world: FeedWorld, bug: int) -> None:
    """D5: feedd tells which bug is the newest, and the rule goes by it."""
    world.gate.set_policy('ahead = 10\n[defaults.rules]\nunknown-bug = "enforce"\n')
    world.until(lambda: world.source()["highestBug"] == bug)
    assert world.push(f"Bug {bug + 10} - just filed")
    assert not world.push(f"Bug {bug + 11} - a slip of the finger")
