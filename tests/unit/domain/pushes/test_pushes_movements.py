"""What moved between two lists of heads."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from liftlock.domain.pushes.movements import Movement, movements, zeros_like
from liftlock.domain.pushes.project import define_project

A, B = "a" * 40, "b" * 40
PROJECT = define_project(
    name="p", identity="https://h.example/p", fetch_address="/p", level=1, branches=["*"], trust_domain="d"
)
NARROW = define_project(
    name="p", identity="https://h.example/p", fetch_address="/p", level=1, branches=["main"], trust_domain="d"
)
heads = st.dictionaries(st.sampled_from(["main", "dev", "release/1"]), st.sampled_from([A, B, "c" * 40]))


def test_new_moved_and_deleted_branches_are_told_apart() -> None:
    found = movements(PROJECT, {"gone": A, "moved": A, "same": A}, {"moved": B, "new": B, "same": A})
    assert found == (Movement("gone", A, None), Movement("moved", A, B), Movement("new", None, B))
    assert [each.kind(old_is_ancestor=True) for each in found] == ["deleted", "advanced", "created"]


def test_a_head_that_is_no_ancestor_of_the_new_one_was_forced() -> None:
    assert Movement("main", A, B).kind(old_is_ancestor=False) == "forced"


def test_branches_that_the_project_does_not_track_do_not_move() -> None:
    assert movements(NARROW, {"gone": A}, {"dev": A, "main": B}) == (Movement("main", None, B),)


@given(heads, heads)
def test_applying_the_movements_to_the_recorded_heads_gives_the_fetched_ones(
    recorded: dict[str, str], fetched: dict[str, str]
) -> None:
    now = dict(recorded)
    for each in movements(PROJECT, recorded, fetched):
        assert now.get(each.branch) == each.old
        if each.new is None:
            del now[each.branch]
        else:
            now[each.branch] = each.new
    assert now == fetched
    assert movements(PROJECT, now, fetched) == ()


def test_the_revision_that_stands_for_none_is_as_long_as_the_others() -> None:
    assert zeros_like(A) == "0" * 40
    assert zeros_like("a" * 64) == "0" * 64
