"""The suite of the port of gated's state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from liftlock.adapters.gate_state.sqlite import PASSED_MS, SqliteGateState
from liftlock.domain.pushes.feed import BLOCKING, Cursor, Reason, Record
from liftlock.errors import StorageError
from liftlock.ports.gate_state import Entry, Firing, GateState, Hit, Override, Passed

NOW = 1_700_000_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gate.db"


@pytest.fixture
def state(path: Path) -> Iterator[GateState]:
    made = SqliteGateState(path, NOW)
    yield made
    made.close()


def record(
    bug: int, seq: int = 1, reason: Reason = "unapproved", *uplift: str, closed: bool = False
) -> Record:
    return Record(bug=bug, seq=seq, blocked=reason in BLOCKING, reason=reason, uplift=uplift, closed=closed)


def entry(kind: str = "push") -> Entry:
    return Entry(at_ms=NOW, kind=kind, repository="r", actor="a", outcome="o", details={"n": 1})  # type: ignore[arg-type]


def override(bug: int = 7, until_ms: int = NOW + 10) -> Override:
    return Override(source="t", bug=bug, repository=None, until_ms=until_ms, by="b", reason="r", at_ms=NOW)


def test_records_and_cursor_are_written_together_and_read_back_whole(state: GateState) -> None:
    state.apply("t", Cursor("e", 3), [record(1), record(2, 3, "ordinary", "approval-beta", closed=True)])
    [feed] = state.feeds()
    assert feed.cursor == Cursor("e", 3)
    assert feed.records == {1: record(1), 2: record(2, 3, "ordinary", "approval-beta", closed=True)}
    assert (feed.contacted_ms, feed.frozen, feed.highest_bug) == (None, None, None)


def test_a_record_that_says_nothing_is_removed(state: GateState) -> None:
    state.apply("t", Cursor("e", 1), [record(1)])
    state.apply("t", Cursor("e", 2), [record(1, 2, "ordinary")])
    assert state.feeds()[0].records == {}


def test_a_batch_that_fails_leaves_neither_records_nor_cursor(state: GateState) -> None:
    state.apply("t", Cursor("e", 1), [record(1)])
    broken = record(3)
    with pytest.raises(StorageError):
        state.apply("t", Cursor("e", 2), [record(2), Record(**{**_fields(broken), "seq": "no number"})])
    [feed] = state.feeds()
    assert (feed.cursor, set(feed.records)) == (Cursor("e", 1), {1})


def _fields(given: Record | Override) -> dict[str, object]:
    return {name: getattr(given, name) for name in given.__struct_fields__}


def test_a_snapshot_replaces_one_source_alone(state: GateState) -> None:
    state.apply("t", Cursor("e", 1), [record(1), record(2)])
    state.apply("u", Cursor("x", 1), [record(1)])
    state.replace("t", Cursor("f", 9), [record(3)])
    feeds = {feed.source: feed for feed in state.feeds()}
    assert (feeds["t"].cursor, set(feeds["t"].records)) == (Cursor("f", 9), {3})
    assert set(feeds["u"].records) == {1}


def test_a_contact_that_says_less_keeps_what_was_known(state: GateState) -> None:
    state.contacted("t", NOW, None, 100)
    state.contacted("t", None, "no access", None)
    [feed] = state.feeds()
    assert (feed.contacted_ms, feed.frozen, feed.highest_bug) == (NOW, "no access", 100)
    assert feed.cursor is None
    state.contacted("t", NOW + 1, None, None)
    assert state.feeds()[0].frozen is None


def test_overrides_hold_until_their_end_or_until_they_are_revoked(state: GateState) -> None:
    granted = state.grant(override(), entry("override"))
    assert granted.id == 1
    assert state.overrides(NOW + 9) == [granted]
    assert state.overrides(NOW + 10) == []
    state.grant(override(8), entry("override"))
    assert state.revoke("t", 7, None, NOW + 1, entry("override")) == 1
    assert [each.bug for each in state.overrides(NOW + 2)] == [8]
    assert state.revoke("t", 7, None, NOW + 2, entry("override")) == 0
    assert len(state.entries(10, "override")) == 4


def test_the_audit_trail_is_read_newest_first_by_kind(state: GateState) -> None:
    state.record([entry("push"), entry("quota")], [], [])
    state.record([entry("feed")], [], [])
    assert [each.kind for each in state.entries(10, None)] == ["feed", "quota", "push"]
    assert [each.kind for each in state.entries(1, None)] == ["feed"]
    assert state.entries(10, "push")[0].details == {"n": 1}


def test_hits_are_forgotten_when_they_are_old(state: GateState) -> None:
    state.record([], [Hit("p", 1, NOW), Hit("p", 2, NOW + 5), Hit("q", 1, NOW + 5)], [])
    assert sorted(hit.bug for hit in state.hits(NOW)) == [1, 2]
    assert len(state.hits(NOW - 100)) == 2, "what was forgotten does not come back"


def test_what_is_revoked_in_one_repository_holds_in_the_others(state: GateState) -> None:
    for name in ("a", "b", None):
        state.grant(Override(**{**_fields(override()), "repository": name}), entry("override"))  # type: ignore[arg-type]
    assert state.revoke("t", 7, "a", NOW + 1, entry("override")) == 1
    assert [each.repository for each in state.overrides(NOW + 2)] == ["b", None]
    assert state.revoke("t", 7, None, NOW + 1, entry("override")) == 2


def passed(revision: str, at_ms: int = NOW, *, repository: str = "r", bug: int = 7) -> Passed:
    return Passed(repository, revision, bug, "uplift", at_ms)


def test_what_an_override_let_in_is_found_by_repository_and_commit(state: GateState) -> None:
    state.grant(override(), entry("override"))
    state.record([], [], [passed("a"), passed("b"), passed("a", repository="s")])
    assert state.passed("t", "r", ["a", "c"]) == [passed("a")]


def test_nothing_was_let_in_where_no_override_was_in_force_then(state: GateState) -> None:
    there = Override(**{**_fields(override(8)), "repository": "s"})  # type: ignore[arg-type]
    state.grant(override(), entry("override"))
    state.grant(there, entry("override"))
    state.record(
        [], [], [passed("a", NOW - 1), passed("b", NOW + 10), passed("c", bug=9), passed("d", bug=8)]
    )
    state.record([], [], [passed("d", repository="s", bug=8)])
    assert state.passed("t", "r", ["a", "b", "c", "d"]) == []
    assert state.passed("t", "s", ["d"]) == [passed("d", repository="s", bug=8)]
    assert state.passed("u", "s", ["d"]) == []


def test_what_was_let_in_is_forgotten_when_it_is_old_or_too_much(
    state: GateState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("liftlock.adapters.gate_state.sqlite.KEPT_PASSED", 2)
    state.grant(override(until_ms=NOW + 2 * PASSED_MS), entry("override"))
    state.record([], [], [passed("a", NOW), passed("b", NOW + 1), passed("c", NOW + 2)])
    assert [each.revision for each in state.passed("t", "r", ["a", "b", "c"])] == ["b", "c"]
    state.record([], [], [passed("d", NOW + 1 + PASSED_MS)])
    assert [each.revision for each in state.passed("t", "r", ["a", "b", "c", "d"])] == ["c", "d"]


def test_a_state_of_the_version_before_is_taken_over(path: Path) -> None:
    old = apsw.Connection(str(path))
    SqliteGateState(path, NOW).close()
    old.execute(
        "DROP TABLE passed; CREATE TABLE passed (revision TEXT PRIMARY KEY, why TEXT); PRAGMA user_version=1"
    )
    old.close()
    state = SqliteGateState(path, NOW)
    state.grant(override(), entry("override"))
    state.record([], [], [passed("a")])
    assert state.passed("t", "r", ["a"]) == [passed("a")]
    state.close()


def test_audited_heads_outlive_damage_to_the_database(path: Path) -> None:
    first = SqliteGateState(path, NOW)
    first.set_audited("r", {"refs/heads/main": "a"}, NOW, [])
    first.set_audited("s", {"refs/heads/main": "b"}, NOW, [])
    assert first.lost_ms() is None
    first.close()
    path.write_bytes(b"no database at all" * 400)
    second = SqliteGateState(path, NOW)
    assert second.audited("r") == {"refs/heads/main": "a"}
    assert second.audited("other") == {}
    assert second.lost_ms() == NOW
    second.set_audited("r", {"refs/heads/main": "c"}, NOW, [])
    assert (second.audited("r"), second.audited("s")) == ({"refs/heads/main": "c"}, {"refs/heads/main": "b"})
    second.close()


def test_damaged_heads_are_said_and_not_taken_for_none(path: Path) -> None:
    state = SqliteGateState(path, NOW)
    path.with_name("audited.json").write_bytes(b"{")
    with pytest.raises(StorageError, match=r"audited\.json: damaged: remove it"):
        state.audited("r")
    state.set_audited("r", {"refs/heads/main": "a"}, NOW, [])
    assert state.audited("r") == {"refs/heads/main": "a"}
    state.close()


def test_firings_are_kept_by_repository_and_hook(state: GateState) -> None:
    first = Firing(repository="r", hook="git", at_ms=NOW, outcome="allow", pushes=1)
    state.fired([first])
    second = Firing(repository="r", hook="git", at_ms=NOW + 1, outcome="reject", pushes=2)
    state.fired([second])
    assert state.firings() == [second]


def test_audited_heads_are_replaced_with_what_the_audit_found(state: GateState) -> None:
    state.set_audited("r", {"main": "1", "gone": "2"}, NOW, [])
    state.set_audited("r", {"main": "3"}, NOW, [entry("slipped")])
    assert state.audited("r") == {"main": "3"}
    assert state.audited("other") == {}
    assert len(state.entries(10, "slipped")) == 1


def test_all_of_it_is_there_after_opening_again(path: Path) -> None:
    first = SqliteGateState(path, NOW)
    first.apply("t", Cursor("e", 1), [record(1)])
    first.close()
    second = SqliteGateState(path, NOW)
    assert set(second.feeds()[0].records) == {1}
    assert second.quarantined is None
    second.close()


@pytest.mark.parametrize("content", [b"no database at all" * 400, b"SQLite format 3\0" + b"\xa5" * 9000])
def test_a_corrupt_file_is_put_aside_and_an_empty_state_opened(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    state = SqliteGateState(path, NOW)
    assert state.quarantined == path.with_name(f"gate.db.corrupt-{NOW}")
    assert state.quarantined.read_bytes() == content
    assert state.feeds() == []
    state.close()


def test_a_state_of_a_newer_version_is_not_touched(path: Path) -> None:
    SqliteGateState(path, NOW).close()
    other = apsw.Connection(str(path))
    other.execute("PRAGMA user_version=99")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StorageError, match="schema 99"):
        SqliteGateState(path, NOW)
    assert path.read_bytes() == before


def test_another_holder_of_the_file_is_no_corruption(state: GateState, path: Path) -> None:
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError) as raised:
        state.apply("t", Cursor("e", 1), [record(1)])
    assert not raised.value.details["corrupt"]
    other.execute("ROLLBACK")
    other.close()
    state.apply("t", Cursor("e", 1), [record(1)])
