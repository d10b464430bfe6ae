"""Role expansion against an independent oracle that applies the four rules until nothing changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from liftlock.domain.scopes.attenuation import attenuate, expand_caller
from liftlock.domain.scopes.role_rules import check_role, check_stored_scopes
from liftlock.domain.scopes.roles import Role, RoleBook
from liftlock.domain.scopes.satisfaction import Refusal, ScopeSet, normalise
from liftlock.errors import DependencyCycleError, InputInvalidError

VECTORS = json.loads((Path(__file__).parents[3] / "vectors" / "scopes.json").read_text())


def book_of(roles: dict[str, list[str]]) -> RoleBook:
    return RoleBook(Role(role_id, tuple(scopes)) for role_id, scopes in roles.items())


def oracle_parameter(scope: str, role_id: str) -> str | None:
    """The parameter with which `scope` matches the role, or None; straight from the rules."""
    is_prefix_role = role_id.endswith("*")
    stem = role_id[:-1] if is_prefix_role else role_id
    if scope in ("*", "a*", "as*", "ass*", "assu*", "assum*", "assume*"):
        return "*"
    if not scope.startswith("assume:"):
        return None
    asked = scope.removeprefix("assume:")
    if asked.endswith("*"):
        if stem.startswith(asked[:-1]):
            return "*"
        if is_prefix_role and asked[:-1].startswith(stem):
            return asked[len(stem) :]
        return None
    if is_prefix_role:
        return asked[len(stem) :] if asked.startswith(stem) else None
    return "" if asked == role_id else None


def oracle_expand(roles: dict[str, list[str]], scopes: list[str]) -> tuple[str, ...]:
    closure = set(scopes)
    while True:
        before = len(closure)
        for scope in list(closure):
            for role_id, given_scopes in roles.items():
                parameter = oracle_parameter(scope, role_id)
                if parameter is None:
                    continue
                for each in given_scopes:
                    if role_id.endswith("*") and "<..>" in each:
                        head, tail = each.split("<..>")
                        closure.add(head + parameter + ("" if parameter.endswith("*") else tail))
                    else:
                        closure.add(each)
        if len(closure) == before:
            return normalise(closure)


fragments = st.text(alphabet="ab*", max_size=3)
role_ids = st.tuples(st.text(alphabet="ab", max_size=3), st.sampled_from(["", "*"])).map("".join).filter(bool)
role_scopes = st.one_of(
    st.tuples(st.sampled_from(["assume:", "x:", "", "as"]), fragments).map("".join),
    st.tuples(
        st.sampled_from(["assume:", "x:"]),
        st.text(alphabet="ab", max_size=2),
        st.just("<..>"),
        st.text(alphabet="ab", max_size=1),
    ).map("".join),
).filter(lambda scope: not scope.endswith("**"))
role_maps = st.dictionaries(role_ids, st.lists(role_scopes, max_size=3), max_size=6)
inputs = st.lists(
    st.tuples(st.sampled_from(["assume:", "x:", "", "assu"]), fragments).map("".join), max_size=4
)


@pytest.mark.parametrize("case", VECTORS["expand"], ids=lambda case: case["why"])
def test_roles_expand_as_the_vectors_say(case: dict[str, object]) -> None:
    roles, scopes, expanded = case["roles"], case["scopes"], case["expanded"]
    assert oracle_expand(roles, scopes) == tuple(expanded)  # type: ignore[arg-type]
    assert list(book_of(roles).expand(scopes)) == expanded  # type: ignore[arg-type]


@settings(max_examples=500)
@given(role_maps, inputs, inputs)
def test_expansion_is_what_the_rules_give_taken_literally(
    roles: dict[str, list[str]], first: list[str], second: list[str]
) -> None:
    try:
        book = book_of(roles)
    except DependencyCycleError:
        assume(False)
        return
    assert book.expand(first).scopes == oracle_expand(roles, first)
    assert book.expand(second).scopes == oracle_expand(roles, second)
    assert book.expand(first).scopes == oracle_expand(roles, first)


@given(role_maps, inputs)
def test_expansion_is_idempotent_and_never_takes_away(roles: dict[str, list[str]], scopes: list[str]) -> None:
    try:
        book = book_of(roles)
    except DependencyCycleError:
        assume(False)
        return
    once = book.expand(scopes)
    assert once.satisfies_all(scopes)
    assert book.expand(once.scopes) == once


@given(role_maps, inputs, inputs)
def test_attenuation_never_gives_what_the_caller_does_not_have(
    roles: dict[str, list[str]], held: list[str], asked: list[str]
) -> None:
    assume(not any(scope.endswith("**") for scope in (*held, *asked)))
    try:
        book = book_of(roles)
    except DependencyCycleError:
        assume(False)
        return
    result = attenuate(book, held, asked)
    whole = expand_caller(book, held)
    if isinstance(result, Refusal):
        assert not whole.satisfies_all(asked)
    else:
        assert whole.satisfies_all(result)


def test_authorized_scopes_may_name_what_everyone_has_and_keep_it() -> None:
    book = book_of({"anonymous": ["public"], "r": ["x", "y"]})
    assert attenuate(book, ["assume:r"], ["public"]) == ScopeSet(["public", "assume:anonymous"])
    assert attenuate(book, ["assume:r"], ["x"]) == ScopeSet(["x", "public", "assume:anonymous"])


def test_a_chain_of_five_hundred_roles_expands_to_its_end() -> None:
    roles = {f"r{n:03}": [f"assume:r{n + 1:03}"] for n in range(500)} | {"r500": ["end"]}
    assert book_of(roles).expand(["assume:r000"]).satisfies("end")
    handed_on = {f"p{n:03}:*": [f"assume:p{n + 1:03}:<..>"] for n in range(500)} | {"p500:*": ["end:<..>"]}
    assert book_of(handed_on).expand(["assume:p000:v"]).satisfies("end:v")


@pytest.mark.parametrize(
    "roles",
    [
        {"a:*": ["assume:a:<..>x"]},
        {"a:*": ["assume:b:<..>"], "b:*": ["assume:a:<..>"]},
        {"a:*": ["assume:b:<..>"], "b:*": ["assume:c:<..>"], "c:*": ["assume:a:x<..>"]},
        {"a*": ["<..>"]},
        {"a*": ["assu<..>"]},
        {"a:*": ["assume:<..>"]},
    ],
    ids=str,
)
def test_parameterised_roles_that_feed_each_other_are_refused(roles: dict[str, list[str]]) -> None:
    with pytest.raises(DependencyCycleError, match=r"in a cycle: .* → "):
        book_of(roles)


def test_the_cycle_is_named() -> None:
    with pytest.raises(DependencyCycleError) as caught:
        book_of({"a:*": ["assume:b:<..>"], "b:*": ["assume:a:<..>"]})
    assert caught.value.message == "roles feed each other their parameter in a cycle: a:* → b:* → a:*"


def test_a_cycle_of_plain_scopes_between_parameterised_roles_is_allowed() -> None:
    book = book_of({"a:*": ["assume:b:<..>", "x:<..>"], "b:*": ["assume:a:fixed"]})
    assert list(book.expand(["assume:a:v"])) == [
        "assume:a:fixed",
        "assume:a:v",
        "assume:b:fixed",
        "assume:b:v",
        "x:fixed",
        "x:v",
    ]


def test_roles_that_double_a_parameter_again_and_again_are_refused() -> None:
    roles = {f"d{n:02}:*": [f"assume:d{n + 1:02}:<..>0", f"assume:d{n + 1:02}:<..>1"] for n in range(40)}
    with pytest.raises(InputInvalidError, match="leads to more than 10000 scopes"):
        book_of({**roles, "d40:*": ["x:<..>"]})


@pytest.mark.parametrize("scope", ["a**", "**", "a***"])
def test_a_scope_that_ends_in_two_stars_is_not_stored(scope: str) -> None:
    with pytest.raises(InputInvalidError, match=r"must not end in `\*\*`"):
        check_stored_scopes(["fine", scope])


def test_more_than_one_parameter_in_a_scope_is_refused() -> None:
    with pytest.raises(InputInvalidError, match=r"at most one `<\.\.>` is allowed"):
        check_role("p*", ["x<..>y<..>"])
    with pytest.raises(InputInvalidError, match=r"`\*<\.\.>` is not allowed"):
        check_role("p*", ["x*<..>"])
    check_role("p", ["x<..>y<..>", "x*<..>"])


def test_memoised_answers_stay_bounded_and_right() -> None:
    wide = {f"w{n}": [f"w:{n}:{k}" for k in range(40)] for n in range(100)}
    book = book_of({**wide, "p:*": ["x:<..>"]})
    for n in range(400):
        assert book.expand(["assume:w*", f"assume:p:{n}"]).satisfies(f"x:{n}")
    assert 100 < len(book._memo) < 130
    assert book.expand(["assume:p:0"]).satisfies("x:0")
    remembered = len(book._memo)
    book.expand([f"y:{n}" for n in range(101)])
    book.expand(["z" * 20_001])
    assert len(book._memo) == remembered
