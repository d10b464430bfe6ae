"""Limits of templates: exact boundaries, places in messages, and what a rendering may not touch."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from liftlock.domain.templates.fuel import Fuel
from liftlock.domain.templates.template import compile_template
from liftlock.errors import TemplateRefusedError

NOW = datetime(2021, 3, 4, tzinfo=UTC)


def _render(template: Any, context: dict[str, Any] | None = None, **fuel: int) -> Any:
    amount = Fuel(steps=fuel.get("steps", 10_000), chars=fuel.get("chars", 10_000))
    return compile_template(template).render(context or {}, amount, now=NOW)


def test_a_message_names_the_place_in_the_template() -> None:
    template = {"tasks": [{"a b": {"$if": "x.y", "then": 1}}]}
    with pytest.raises(TemplateRefusedError) as refused:
        _render(template, {"x": {}})
    assert refused.value.message == "template.tasks[0]['a b'].$if: the object has no property y"


def test_a_mistake_in_a_branch_not_taken_is_found_when_compiling() -> None:
    with pytest.raises(TemplateRefusedError) as refused:
        compile_template({"$if": "true", "then": 1, "else": {"x": "${1 +}"}})
    assert refused.value.message == "template.else.x: expected an expression, found '}' in '${1 +}'"


def test_a_mistake_in_an_operator_names_the_operator() -> None:
    with pytest.raises(
        TemplateRefusedError, match=r"^template\.a\['\$mpa'\]: '\$mpa' is no operator; .* written \$\$mpa$"
    ):
        compile_template({"a": {"$mpa": []}})


def test_a_list_of_n_elements_takes_n_plus_one_steps_and_no_fewer() -> None:
    assert _render([1, 2, 3], steps=4) == [1, 2, 3]
    with pytest.raises(TemplateRefusedError, match=r"needs more than 3 steps"):
        _render([1, 2, 3], steps=3)


def test_every_string_of_the_result_is_paid_for() -> None:
    assert _render(["abc", {"de": "f"}], chars=6) == ["abc", {"de": "f"}]
    with pytest.raises(TemplateRefusedError, match=r"needs more than 5 characters"):
        _render(["abc", {"de": "f"}], chars=5)


def test_a_constant_is_paid_for_each_time_it_is_used() -> None:
    template = {"$map": {"$eval": "range(0, 4)"}, "each(i)": "x" * 10}
    assert _render(template, chars=40) == ["x" * 10] * 4
    with pytest.raises(TemplateRefusedError, match="characters"):
        _render(template, chars=39)


def test_a_value_of_the_context_is_paid_for_each_time_it_is_used() -> None:
    with pytest.raises(TemplateRefusedError, match="characters"):
        _render([{"$eval": "s"}] * 3, {"s": "x" * 10}, chars=29)


def test_integers_may_have_256_bits() -> None:
    assert _render({"$eval": "2 ** 255 + (2 ** 255 - 1)"}) == 2**256 - 1
    with pytest.raises(TemplateRefusedError, match="over 256 bits"):
        _render({"$eval": "2 ** 255 + 2 ** 255"})


@pytest.mark.parametrize("expression", ["1" * 78, "0" * 78, "1" * 5000])
def test_numbers_may_have_77_digits(expression: str) -> None:
    assert _render({"$eval": "1" * 77}) == int("1" * 77)
    with pytest.raises(TemplateRefusedError, match="77 digits"):
        compile_template({"$eval": expression})


def test_templates_may_be_nested_100_deep() -> None:
    template: Any = 1
    for _ in range(100):
        template = [template]
    compile_template(template)
    with pytest.raises(TemplateRefusedError, match="nested 100 deep"):
        compile_template([template])


def test_a_context_holds_json_only() -> None:
    for wrong in (len, object(), {1: 2}, float("nan"), float("inf"), 1 << 257, (1,), {"a": [b"x"]}):
        with pytest.raises(TemplateRefusedError, match="the context's x"):
            _render({"$eval": "1"}, {"x": wrong})


def test_a_context_has_names_only() -> None:
    with pytest.raises(TemplateRefusedError, match="no name"):
        _render(1, {"a-b": 1})


def test_a_template_holds_json_only() -> None:
    for wrong in (len, (1,), b"x", {"a": {1}}):
        with pytest.raises(TemplateRefusedError, match="JSON values"):
            compile_template([wrong])


def test_the_present_is_passed_in() -> None:
    assert _render([{"$eval": "now"}, {"$fromNow": "1 day"}]) == [
        "2021-03-04T00:00:00.000Z",
        "2021-03-05T00:00:00.000Z",
    ]
    assert _render({"$fromNow": "1 day", "from": None}, {"now": "2000-01-01T00:00:00.000Z"}) == (
        "2021-03-05T00:00:00.000Z"
    )


def test_rendering_leaves_template_and_context_as_they_were() -> None:
    template = {"$reduce": [1], "initial": {"a": []}, "each(acc, x)": {"$if": "false", "then": 1}}
    compiled = compile_template(template)
    first = compiled.render({}, now=NOW)
    first["a"].append("changed")
    assert compiled.render({}, now=NOW) == {"a": []}
    constant = compile_template({"list": [1, {"a": "b"}]})
    constant.render({}, now=NOW)["list"].append(2)
    assert constant.render({}, now=NOW) == {"list": [1, {"a": "b"}]}


def test_a_message_is_short_however_long_the_keys_are() -> None:
    template: Any = {"$eval": "nothing"}
    for letter in "abcdefghijklmnopqrst":
        template = {letter * 10_000: {letter + " " + "x" * 10_000: template}}
    with pytest.raises(TemplateRefusedError) as refused:
        _render(template, chars=1_000_000)
    assert refused.value.message.endswith(".$eval: no variable is called nothing")
    assert len(refused.value.message) < 700
