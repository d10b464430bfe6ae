"""Templates made up by Hypothesis render as by the json-e package, or are refused where that fails."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import jsone
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from liftlock.domain.templates.template import compile_template
from liftlock.errors import TemplateRefusedError

NOW = datetime(2021, 3, 4, 5, 6, 7, 890_000, tzinfo=UTC)
CONTEXT: dict[str, Any] = {
    "now": "2021-03-04T05:06:07.890Z",
    "n": 2,
    "m": -3,
    "f": 0.5,
    "s": "héllo, world",
    "e": "",
    "yes": True,
    "no": False,
    "nil": None,
    "l": [3, 1, 2],
    "w": ["b", "a", "c", "b"],
    "nested": [1, [2, [3, []]]],
    "o": {"a": 1, "b": {"c": [1, 2]}, "d": "x"},
    "rows": [{"k": "z", "v": 1}, {"k": "y", "v": 2}],
}
# Where we refuse what the package takes: a slice of an object (its end is not looked at), an empty branch of $match.
ON_PURPOSE = ("[…:…] expects a list or a string", "the value of a true condition of $match is nothing")
_FAILURES = (
    jsone.JSONTemplateError,
    TypeError,
    ValueError,
    ArithmeticError,
    AttributeError,
    KeyError,
    StopIteration,
    RuntimeError,  # what a generator makes of StopIteration
)

names = st.sampled_from([*CONTEXT, "x", "i", "unknown"])
atoms = st.one_of(
    names,
    st.integers(0, 12).map(str),
    st.sampled_from(["1.5", "0.25", "'a'", '"b, c"', "''", "'1 day'", "true", "false", "null", "[]", "{}"]),
)
infix = st.sampled_from(["+", "-", "*", "/", "==", "!=", "<", ">", "<=", ">=", "&&", "||", "in"])
functions = st.sampled_from(
    [
        "sqrt",
        "abs",
        "ceil",
        "floor",
        "lowercase",
        "uppercase",
        "strip",
        "lstrip",
        "rstrip",
        "len",
        "str",
        "typeof",
        "defined",
        "fromNow",
        "number",
    ]
)


def _wider(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, infix, inner).map(" ".join),
        st.tuples(inner, infix, inner).map(lambda parts: f"({' '.join(parts)})"),
        st.tuples(st.sampled_from("!-+"), inner).map("".join),
        st.tuples(inner, st.sampled_from("abck")).map(".".join),
        st.tuples(inner, inner).map(lambda parts: f"{parts[0]}[{parts[1]}]"),
        st.tuples(inner, inner, inner).map(lambda parts: f"{parts[0]}[{parts[1]}:{parts[2]}]"),
        st.tuples(inner).map(lambda parts: f"{parts[0]}[1:]"),
        st.tuples(functions, inner).map(lambda parts: f"{parts[0]}({parts[1]})"),
        st.tuples(st.sampled_from(["split", "join", "min", "max", "range"]), inner, inner).map(
            lambda parts: f"{parts[0]}({parts[1]}, {parts[2]})"
        ),
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.lists(inner, max_size=2).map(
            lambda items: "{" + ", ".join(f"k{i}: {item}" for i, item in enumerate(items)) + "}"
        ),
        st.tuples(st.sampled_from(["2", "3", "n", "f"]), st.sampled_from(["0", "1", "2", "n", "m", "f"])).map(
            lambda parts: f"({parts[0]} ** {parts[1]})"
        ),
    )


expressions = st.recursive(atoms, _wider, max_leaves=8)
scalars = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.sampled_from(["", "text", "$${n}", "é"]))
texts = st.lists(
    st.one_of(st.sampled_from(["a ", "}", "$ ", "$${", "{"]), expressions.map(lambda e: "${" + e + "}")),
    max_size=3,
).map("".join)


def _templates(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.lists(inner, max_size=4)
    objects = st.dictionaries(st.sampled_from(["a", "b", "c", "$$d", "${s}", "k-${n}"]), inner, max_size=3)
    condition = expressions
    branches = st.fixed_dictionaries({"$if": condition}, optional={"then": inner, "else": inner})
    each = st.sampled_from(["each(x)", "each(x, i)", "each(x,i)"])
    return st.one_of(
        lists,
        objects,
        branches,
        st.fixed_dictionaries({"$let": st.dictionaries(st.sampled_from("xyis"), inner), "in": inner}),
        st.sampled_from(
            ["$flatten", "$flattenDeep", "$merge", "$mergeDeep", "$json", "$reverse", "$sort"]
        ).flatmap(
            lambda operator: st.fixed_dictionaries({operator: inner | lists | st.lists(objects, max_size=3)})
        ),
        st.tuples(inner, each, inner).map(lambda t: {"$map": t[0], t[1]: t[2]}),
        st.tuples(lists, each, inner).map(lambda t: {"$map": t[0], t[1]: t[2]}),
        st.tuples(lists, st.sampled_from(["each(x, i)", "each(x, i, n)"]), inner, scalars).map(
            lambda t: {"$reduce": t[0], t[1]: t[2], "initial": t[3]}
        ),
        st.tuples(st.lists(scalars.filter(lambda v: v != "$${n}"), max_size=4), each, expressions).map(
            lambda t: {"$find": t[0], t[1]: t[2]}
        ),
        st.tuples(inner, expressions).map(lambda t: {"$sort": t[0], "by(x)": t[1]}),
        st.dictionaries(expressions, inner, max_size=3).map(lambda cases: {"$match": cases}),
        st.dictionaries(expressions | st.just("$default"), inner, max_size=3).map(
            lambda cases: {"$switch": cases}
        ),
        st.fixed_dictionaries({"$fromNow": inner}, optional={"from": references}),
    )


# Not null: that means the present, which the package takes from the clock.
references = st.sampled_from(["2020-01-01T00:00:00.5Z", {"$eval": "now"}, "", 1, {"$eval": "l"}, {"a": 1}])
templates = st.recursive(
    st.one_of(scalars, texts, expressions.map(lambda e: {"$eval": e})), _templates, max_leaves=12
)


def _reference(template: Any) -> tuple[bool, Any]:
    """Return whether the package renders `template` to a JSON value, and to which."""
    try:
        value = jsone.render(template, CONTEXT)
        json.dumps(value, allow_nan=False)
    except _FAILURES:
        return False, None
    return True, value


def _ours(template: Any) -> tuple[bool, Any]:
    try:
        return True, compile_template(template).render(CONTEXT, now=NOW)
    except TemplateRefusedError as error:
        assume(not any(reason in error.message for reason in ON_PURPOSE))
        return False, None


@settings(max_examples=1500, deadline=None)
@given(templates)
@example({"$map": [], "each(x)": "${"})
@example({"$map": {"a": 1}, "each(x, i)": {"${i}": {"$eval": "x"}}})
@example({"$sort": {"$eval": "rows"}, "by(x)": "x.k"})
@example({"$merge": {"$map": {"$eval": "rows"}, "each(x)": {"${x.k}": {"$eval": "x.v"}}}})
def test_templates_render_as_by_the_reference(template: Any) -> None:
    ours, theirs = _ours(template), _reference(template)
    if theirs[0] and not ours[0] and not _compiles(template):
        return  # a mistake where the package does not look because nothing is evaluated there: a documented difference
    assert ours == theirs


def _compiles(template: Any) -> bool:
    try:
        compile_template(template)
    except TemplateRefusedError:
        return False
    return True


@settings(max_examples=1500, deadline=None)
@given(expressions)
def test_expressions_evaluate_as_by_the_reference(expression: str) -> None:
    ours, theirs = _ours({"$eval": expression}), _reference({"$eval": expression})
    assert ours == theirs
    assert not isinstance(ours[1], float) or math.isfinite(ours[1])


@settings(max_examples=1000, deadline=None)
@given(st.text(alphabet="nlo12'\" .,:+-*/=<>!&|()[]{}$%ab\t", max_size=12))
def test_arbitrary_text_as_an_expression_ends_as_by_the_reference(text: str) -> None:
    ours, theirs = _ours({"$eval": text}), _reference({"$eval": text})
    if theirs[0] and not ours[0]:
        return  # refused before it is evaluated, like `true || (`: see the documented differences
    assert ours == theirs


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=40))
def test_any_text_without_a_dollar_is_itself(text: str) -> None:
    literal = text.replace("$", "")
    assert _ours(literal) == (True, literal)
