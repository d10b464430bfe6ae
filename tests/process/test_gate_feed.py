"""The feed as gated's other end sees it: order, losses, epochs, snapshots, and who may feed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gate_world import Feed, GateWorld, GitPair, gate_world, record

pytestmark = pytest.mark.process


@pytest.fixture
def world() -> Iterator[GateWorld]:
    with gate_world() as made:
        made.start()
        yield made


@pytest.fixture
def feed(world: GateWorld) -> Feed:
    return world.fed(record(7))


def source(world: GateWorld) -> dict[str, object]:
    found: dict[str, object] = world.ask("status")["ok"]["sources"]["tracker"]
    return found


def reason(world: GateWorld, bug: int) -> str | None:
    held = world.ask("explain", repository="r", bug=bug)["ok"]["bugs"][0]["record"]
    return held["reason"] if held else None


def test_the_greeting_says_where_each_source_goes_on(world: GateWorld) -> None:
    first = world.feed()
    assert (first.where["type"], first.where["cursors"]) == ("where", {})
    request = first.where["requests"]["tracker"]
    first.snapshot(record(7), head=41, request=request)
    again = world.feed()
    assert again.where["cursors"] == {"tracker": {"epoch": "e", "seq": 41}}
    assert again.where["requests"] == {}


def test_events_before_any_list_ask_for_a_snapshot(world: GateWorld) -> None:
    feed = world.feed()
    answer = feed.records(record(7, 1))
    assert (answer["type"], answer["request"]) == ("resync", feed.where["requests"]["tracker"])


def test_duplicates_are_acknowledged_and_change_nothing(world: GateWorld, feed: Feed) -> None:
    feed.records(record(7, 6, "approved"))
    answer = feed.records(record(7, 6), record(7, 3))
    assert (answer["type"], answer["cursor"]["seq"]) == ("applied", 6)
    assert reason(world, 7) == "approved"


def test_a_gap_is_asked_for_again_from_the_last_that_arrived(world: GateWorld, feed: Feed) -> None:
    answer = feed.records(record(8, 6), record(9, 8))
    assert (answer["type"], answer["cursor"]["seq"]) == ("gap", 6)
    assert (reason(world, 8), reason(world, 9)) == ("unapproved", None)
    assert feed.records(record(10, 7), record(9, 8))["cursor"]["seq"] == 8


def test_reordered_events_end_in_the_state_of_the_last_one(world: GateWorld, feed: Feed) -> None:
    assert feed.records(record(7, 7, "denied"))["type"] == "gap"
    assert feed.records(record(7, 6, "approved"))["type"] == "applied"
    assert feed.records(record(7, 7, "denied"))["type"] == "applied"
    assert reason(world, 7) == "denied"


def test_another_epoch_needs_a_snapshot_and_the_old_list_holds_until_it_is_there(
    world: GateWorld, feed: Feed
) -> None:
    answer = feed.records(record(7, 6, "approved"), epoch="f")
    assert answer["type"] == "resync"
    assert reason(world, 7) == "unapproved"
    assert feed.snapshot(record(7), epoch="f", head=1, request=answer["request"])["type"] == "applied"
    assert source(world)["epoch"] == "f"


def test_a_tracker_restored_from_a_backup_is_noticed_and_its_list_taken(world: GateWorld, feed: Feed) -> None:
    feed.records(record(8, 6), record(9, 7))
    answer = feed.contact(head=6)
    assert (answer["type"], "restored from a backup" in answer["why"]) == ("resync", True)
    assert feed.snapshot(record(7), head=6)["type"] == "refused", "an old snapshot that nobody asked for"
    assert feed.snapshot(record(7), head=6, request=answer["request"])["type"] == "applied"
    assert source(world)["seq"] == 6


def test_purged_events_need_a_snapshot(world: GateWorld, feed: Feed) -> None:
    assert feed.contact(head=99, floor=50)["type"] == "resync"
    assert source(world)["resyncAsked"] is True


def test_a_snapshot_swaps_the_list_whole_or_not_at_all(world: GateWorld, feed: Feed) -> None:
    feed.send("snapshot-begin", epoch="e", head=9)
    feed.send("snapshot-part", records=[record(8, 9)])
    assert reason(world, 8) is None, "nothing of it is known before its end"
    assert feed.ask("snapshot-end", count=2)["type"] == "refused"
    assert (reason(world, 7), reason(world, 8)) == ("unapproved", None)
    assert feed.snapshot(record(8, 9), head=9)["type"] == "applied"
    assert (reason(world, 7), reason(world, 8)) == (None, "unapproved")


def test_a_bot_that_lost_its_access_cannot_empty_the_list_until_an_operator_agrees(world: GateWorld) -> None:
    """The tracker answers 200 with an empty list: the brake holds, and status shows it."""
    feed = world.fed(*(record(bug) for bug in range(1, 21)))
    assert "drops 20 of 20" in feed.snapshot(head=9)["why"]
    assert source(world)["sensitive"] == 20
    done = world.liftlock("status")
    assert done.returncode == 1
    assert "list refused" in done.stdout
    assert world.liftlock("resync", "--accept-drop").returncode == 0
    asked = feed.receive()
    assert (asked["type"], asked["why"]) == ("resync", "an operator asked for it")
    assert feed.snapshot(record(1), head=9, request=asked["request"])["type"] == "applied"
    assert world.liftlock("status").returncode == 0


def test_a_frozen_feed_keeps_the_list_and_its_age_grows(world: GateWorld, feed: Feed) -> None:
    before = source(world)["ageS"]
    assert feed.contact(frozen="canary-not-seen")["type"] == "applied"
    assert feed.records(record(7, 6, "ordinary"))["type"] == "refused"
    after = source(world)
    assert after["frozen"] == "canary-not-seen"
    assert isinstance(before, float)
    assert isinstance(after["ageS"], float)
    assert after["ageS"] > before, "this was no contact"
    assert reason(world, 7) == "unapproved"
    assert world.liftlock("status").returncode == 1
    assert feed.contact()["type"] == "applied"
    assert source(world)["frozen"] is None
    assert feed.records(record(7, 6, "approved"))["type"] == "applied"


def test_numbers_that_cannot_be_stored_are_refused_and_the_link_stays(world: GateWorld, feed: Feed) -> None:
    for answer in (
        feed.records(record(7, 2**70)),
        feed.contact(head=2**70),
        feed.contact(floor=2**70),
        feed.contact(highest_bug=2**70),
        feed.contact(age_ms=2**70),
        feed.ask("snapshot-begin", epoch="e", head=2**70, request=None),
    ):
        assert answer["type"] == "refused", answer
        assert "expected" in answer["why"] or "above" in answer["why"]
    assert feed.contact()["type"] == "applied"


def test_a_frozen_feed_is_frozen_after_a_restart(world: GateWorld, feed: Feed) -> None:
    feed.contact(frozen="The bot may not see bug 7 <secret>")
    world.stop()
    world.start()
    assert source(world)["frozen"] == "no-access", "the tracker's words stay on its side"


def test_a_snapshot_without_the_canary_is_refused(world: GateWorld) -> None:
    feed = world.feed()
    world.set_policy("canary = 1\n")
    assert "canary" in feed.snapshot(record(7), request=feed.where["requests"]["tracker"])["why"]
    assert feed.snapshot(record(1), record(7), request=feed.where["requests"]["tracker"])["type"] == "applied"


def test_a_renamed_keyword_takes_effect_as_a_new_epoch_with_a_new_list(world: GateWorld, feed: Feed) -> None:
    """feedd evaluates selectors: when what they look at is renamed, or they are changed, it starts a new epoch."""
    answer = feed.contact(epoch="e2", head=5)
    assert answer["type"] == "resync"
    assert feed.snapshot(record(9), epoch="e2", request=answer["request"])["type"] == "applied"
    assert (reason(world, 7), reason(world, 9)) == (None, "unapproved")


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"not json\n",
        b'{"type":"records"}\n',
        b'{"type":"unknown","source":"tracker"}\n',
        b'{"type":"records","source":"tracker","epoch":"e","records":[{"bug":1,"seq":6}]}\n',
        b'{"type":"records","source":"tracker","epoch":"e","records":[{"bug":1,"seq":6,"blocked":false,"reason":"denied"}]}\n',
        b'{"type":"records","source":"tracker","epoch":"e","records":[{"bug":0,"seq":6,"blocked":false,"reason":"ordinary"}]}\n',
        b'{"type":"records","source":"elsewhere","epoch":"e","records":[]}\n',
        b'{"type":"contact","source":"tracker","contact":{"epoch":"e","head":-1}}\n',
        b'{"type":"snapshot-part","source":"tracker","records":[]}\n',
        b"[" * 100_000 + b"\n",
    ],
)
def test_what_is_no_message_is_refused_and_the_list_holds(world: GateWorld, feed: Feed, line: bytes) -> None:
    feed.raw(line)
    assert feed.receive()["type"] == "refused"
    assert reason(world, 7) == "unapproved"
    assert feed.records(record(8, 6))["type"] == "applied"


def test_a_line_without_an_end_closes_the_link(world: GateWorld, feed: Feed) -> None:
    with pytest.raises(OSError, match=r"Broken pipe|reset"):
        feed.raw(b"x" * 100_000_000)
    assert reason(world, 7) == "unapproved"


def test_a_second_feed_replaces_the_first(world: GateWorld, feed: Feed) -> None:
    second = world.feed()
    assert feed.receive()["type"] == "closed"
    assert second.records(record(8, 6))["type"] == "applied"


def test_an_event_is_in_force_as_soon_as_it_is_acknowledged(world: GateWorld, feed: Feed) -> None:
    """D2."""
    pair = GitPair(world)
    pair.commit("Bug 8 - x")
    assert feed.records(record(8, 6))["type"] == "applied"
    assert pair.push().returncode == 1


def test_the_unknown_number_rule_follows_the_trackers_highest_bug(world: GateWorld, feed: Feed) -> None:
    """D5."""
    world.set_policy('ahead = 10\n[defaults.rules]\nunknown-bug = "enforce"\n')
    feed.contact(highest_bug=1000)
    pair = GitPair(world)
    pair.commit("Bug 1010 - x")
    assert pair.push().returncode == 0
    pair.commit("Bug 1011 - x")
    assert "there is no such bug" in pair.push().stderr
