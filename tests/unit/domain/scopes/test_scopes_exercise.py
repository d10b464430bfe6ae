"""Which grants were used: all that would have sufficed, what led to them, and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from liftlock.domain.scopes.exercise import Grant, Grants, leaves, unused
from liftlock.domain.scopes.roles import Role, RoleBook
from liftlock.domain.scopes.satisfaction import AllOf, AnyOf

BOOK = RoleBook(
    [
        Role("dev", ("queue:create:*", "secrets:get:a", "assume:base")),
        Role("base", ("queue:create:low", "index:x")),
        Role("team:*", ("assume:d<..>", "mail:<..>/x")),
        Role("other", ("queue:*",)),
    ]
)


def test_every_grant_that_suffices_is_used_and_what_led_to_it() -> None:
    grants = Grants(BOOK, ["assume:dev", "index:y"], "client/c")
    assert grants.exercised("queue:create:low") == {
        Grant("role/dev", "queue:create:*"),
        Grant("role/base", "queue:create:low"),
        Grant("role/dev", "assume:base"),
        Grant("client/c", "assume:dev"),
    }
    assert grants.exercised("index:y") == {Grant("client/c", "index:y")}
    assert grants.exercised("secrets:get:b") == set()


def test_a_scope_that_was_made_of_a_parameter_uses_the_stored_one() -> None:
    grants = Grants(BOOK, ["assume:team:ev"], "client/c")
    assert grants.exercised("mail:ev/x") == {
        Grant("role/team:*", "mail:<..>/x"),
        Grant("client/c", "assume:team:ev"),
    }
    assert Grant("role/team:*", "assume:d<..>") in grants.exercised("secrets:get:a")


def test_ones_own_scopes_come_first_so_that_who_may_all_uses_no_role() -> None:
    assert Grants(BOOK, ["*"], "client/root").exercised("index:x") == {Grant("client/root", "*")}
    both = Grants(BOOK, ["assume:dev", "secrets:*"], "client/c")
    assert both.exercised("secrets:get:a") == {Grant("client/c", "secrets:*")}


def test_a_need_that_is_a_pattern_uses_what_covers_all_of_it() -> None:
    grants = Grants(BOOK, ["queue:create:x*", "queue:create:*", "queue:create:xy"], "client/c")
    assert grants.exercised("queue:create:x*") == {
        Grant("client/c", "queue:create:x*"),
        Grant("client/c", "queue:create:*"),
    }


def test_the_leaves_of_a_need_are_all_that_it_names() -> None:
    assert list(leaves(AllOf("a", AnyOf("b", AllOf()), "c"))) == ["a", "b", "c"]


def test_unused_is_what_is_stored_and_was_not_used_by_holder() -> None:
    stored = [("role/b", ("x", "y")), ("role/a", ("z",)), ("client/c", ())]
    assert unused(stored, [("role/b", "x"), ("role/gone", "z")]) == [("role/a", ("z",)), ("role/b", ("y",))]


_TEXT = st.sampled_from(["a", "a:b", "a:b:c", "a*", "a:*", "b", "assume:r", "assume:s", "assume:*", "*"])


@given(
    st.lists(_TEXT, max_size=4, unique=True),
    st.lists(_TEXT, max_size=4, unique=True),
    st.lists(_TEXT, max_size=3, unique=True),
    st.sampled_from(["a", "a:b", "a:b:c", "b", "c", "a:*"]),
)
def test_what_was_not_used_can_be_taken_away_and_what_was_used_can_not(
    r: list[str], s: list[str], own: list[str], need: str
) -> None:
    """What `unused` promises: taking away what was not used changes nothing."""
    stored = {"role/r": r, "role/s": s, "client/c": own}
    book = RoleBook([Role("r", tuple(r)), Role("s", tuple(s))])
    used = Grants(book, own, "client/c").exercised(need)
    assert bool(used) == book.expand(own).satisfies(need)
    kept = {holder: [x for x in scopes if Grant(holder, x) in used] for holder, scopes in stored.items()}
    smaller = RoleBook([Role("r", tuple(kept["role/r"])), Role("s", tuple(kept["role/s"]))])
    assert smaller.expand(kept["client/c"]).satisfies(need) == bool(used)
    if not used or all(grant.holder == "client/c" and not grant.scope.startswith("assume") for grant in used):
        return
    left = {holder: [x for x in scopes if Grant(holder, x) not in used] for holder, scopes in stored.items()}
    without = RoleBook([Role("r", tuple(left["role/r"])), Role("s", tuple(left["role/s"]))])
    assert not without.expand(left["client/c"]).satisfies(need)
