"""Satisfaction, normal form and expressions, against the definition taken literally."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.domain.scopes.satisfaction import (
    AllOf,
    AnyOf,
    Expression,
    Refusal,
    ScopeSet,
    decide,
    is_scope,
    normalise,
    parse_expression,
    render,
    satisfies,
    to_wire,
)
from liftlock.errors import InputInvalidError

VECTORS = json.loads((Path(__file__).parents[3] / "vectors" / "scopes.json").read_text())

small_scopes = st.text(alphabet="ab*:", max_size=5)
scope_lists = st.lists(small_scopes, max_size=8)


def literal_satisfies(held: str, needed: str) -> bool:
    """The definition, word for word."""
    if held == needed:
        return True
    return held[-1:] == "*" and needed[: len(held) - 1] == held[: len(held) - 1]


def literal_holds(held: list[str], need: Expression) -> bool:
    if isinstance(need, str):
        return any(literal_satisfies(each, need) for each in held)
    values = [literal_holds(held, part) for part in need.parts]
    return False not in values if isinstance(need, AllOf) else True in values


expressions = st.recursive(
    small_scopes,
    lambda inner: st.lists(inner, max_size=3).flatmap(
        lambda parts: st.sampled_from([AllOf(*parts), AnyOf(*parts)])
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(("held", "needed", "verdict"), VECTORS["satisfies"])
def test_one_scope_satisfies_another_as_the_vectors_say(held: str, needed: str, verdict: bool) -> None:
    assert satisfies(held, needed) is verdict
    assert ScopeSet([held]).satisfies(needed) is verdict


@pytest.mark.parametrize(("scopes", "normal"), VECTORS["normalise"])
def test_the_normal_form_is_as_the_vectors_say(scopes: list[str], normal: list[str]) -> None:
    assert list(normalise(scopes)) == normal
    assert list(ScopeSet(scopes)) == normal


@given(scope_lists, small_scopes)
def test_a_set_satisfies_exactly_what_one_of_its_members_satisfies(held: list[str], needed: str) -> None:
    assert ScopeSet(held).satisfies(needed) is any(literal_satisfies(each, needed) for each in held)


@given(scope_lists, small_scopes)
def test_the_normal_form_satisfies_the_same_and_has_nothing_superfluous(held: list[str], needed: str) -> None:
    normal = normalise(held)
    assert set(normal) <= set(held)
    assert len(set(normal)) == len(normal)
    assert any(literal_satisfies(each, needed) for each in normal) is any(
        literal_satisfies(each, needed) for each in held
    )
    for one in normal:
        assert not any(literal_satisfies(other, one) for other in normal if other != one)
    assert normalise(normal) == normal


@given(scope_lists, expressions)
def test_an_expression_is_decided_as_by_its_definition(held: list[str], need: Expression) -> None:
    refusal = decide(ScopeSet(held), need)
    assert (refusal is None) is literal_holds(held, need)
    if refusal is not None:
        assert not literal_holds(held, refusal.unsatisfied)


@given(expressions)
def test_an_expression_survives_the_wire(need: Expression) -> None:
    assert parse_expression(to_wire(need)) == need


def test_all_of_nothing_is_true_and_any_of_nothing_is_false() -> None:
    assert decide(ScopeSet(), AllOf()) is None
    assert decide(ScopeSet(["*"]), AnyOf()) == Refusal(AnyOf(), AnyOf())


def test_a_refusal_names_only_what_is_missing() -> None:
    need = AllOf("a", AnyOf("b", AllOf("a", "c")), AnyOf("a", "d"))
    refusal = decide(ScopeSet(["a"]), need)
    assert refusal == Refusal(need, AnyOf("b", "c"))
    assert render(refusal.unsatisfied) == '{\n  "AnyOf": [\n    "b",\n    "c"\n  ]\n}'
    text = refusal.message("client x")
    assert text.startswith("client x does not have the scopes this needs. Missing:\n\n{")
    assert "liftlock access explain" in text


def test_two_sets_with_the_same_normal_form_are_equal() -> None:
    assert ScopeSet(["a*", "ab", "a"]) == ScopeSet(["a*"])
    assert hash(ScopeSet(["a*", "ab"])) == hash(ScopeSet(["a*"]))
    assert len(ScopeSet(["a*", "ab"])) == 1
    assert repr(ScopeSet(["b", "a"])) == "ScopeSet(['a', 'b'])"
    assert ScopeSet.of_parts(["x"], ["a", "ab"]) == ScopeSet(["x", "a*"])


@pytest.mark.parametrize(
    "value",
    [1, None, [], {}, {"AllOf": "a"}, {"OneOf": []}, {"AllOf": [], "AnyOf": []}, "é", "a\n", {"AnyOf": [3]}],
    ids=repr,
)
def test_what_is_no_expression_is_refused(value: object) -> None:
    with pytest.raises(InputInvalidError, match=r"^scope"):
        parse_expression(value)


def test_an_expression_of_seventeen_levels_is_refused() -> None:
    value: object = "a"
    for _ in range(16):
        value = {"AllOf": [value]}
    parse_expression(value)
    with pytest.raises(InputInvalidError, match="more than 16 levels"):
        parse_expression({"AllOf": [value]})


@pytest.mark.parametrize(
    ("value", "verdict"), [("", True), (" ~", True), ("\x7f", False), ("a\n", False), (3, False)]
)
def test_a_scope_is_printable_ascii(value: object, verdict: bool) -> None:
    assert is_scope(value) is verdict
