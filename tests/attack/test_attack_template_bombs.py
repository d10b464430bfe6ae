"""Templates that want all of the machine: each ends in a refusal within a fixed number of steps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from liftlock.domain.templates.template import compile_template
from liftlock.errors import TemplateRefusedError

NOW = datetime(2021, 3, 4, tzinfo=UTC)


def _nested(levels: int, wrap: Any) -> Any:
    template: Any = "x"
    for _ in range(levels):
        template = wrap(template)
    return template


def _reduce(times: int, initial: Any, body: Any) -> dict[str, Any]:
    return {"$reduce": {"$eval": f"range(0, {times})"}, "initial": initial, "each(a, x)": body}


BOMBS: dict[str, Any] = {
    "maps in maps": _nested(8, lambda inner: {"$map": list(range(16)), "each(x)": inner}),
    "a string doubled": _reduce(60, "aaaa", {"$eval": "a + a"}),
    "a string doubled by interpolation": _reduce(60, "aaaa", "${a}${a}"),
    "a string doubled by join": _reduce(60, "aaaa", {"$eval": "join([a, a], a)"}),
    "a list doubled": _reduce(60, [1], {"$eval": "[a, a]"}),
    "a list doubled by the template": _reduce(60, [1], [{"$eval": "a"}, {"$eval": "a"}]),
    "an object doubled": _reduce(60, {"k": 1}, {"x": {"$eval": "a"}, "y": {"$eval": "a"}}),
    "a list doubled by flattening": _reduce(60, [1], {"$flatten": [{"$eval": "a"}, {"$eval": "a"}]}),
    "a list doubled by merging": _reduce(60, {"k": [1]}, {"$mergeDeep": [{"$eval": "a"}, {"$eval": "a"}]}),
    "json in json": _reduce(60, '"', {"$json": {"$eval": "a + '\\\\'"}}),
    "a value as deep as a loop is long": _reduce(5_000, 1, ["${x}", {"$eval": "[a]"}]),
    "9 to the 9 to the 9": {"$eval": "9 ** 9 ** 9"},
    "a power of a power": _reduce(100, 2, {"$eval": "a * a"}),
    "a power beyond floats": {"$eval": "1.5 ** 9999999"},
    "a range of ten billion": {"$eval": "range(0, 10 ** 10)"},
    "a range beyond an index": {"$eval": "range(0, 10 ** 40)"},
    "a range backwards": {"$eval": "range(10 ** 12, 0, -1)"},
    "a range for an argument": {"$eval": "len(range(0, 10 ** 9))"},
    "ranges in ranges": {
        "$map": {"$eval": "range(0, 1000)"},
        "each(i)": {"$map": {"$eval": "range(0, 1000)"}, "each(j)": {"$eval": "i * j"}},
    },
    "parentheses": {"$eval": "(" * 100_000 + "1" + ")" * 100_000},
    "signs": {"$eval": "-" * 100_000 + "1"},
    "negations": {"$eval": "!" * 5_000 + "true"},
    "lists in an expression": {"$eval": "[" * 50_000},
    "objects in an expression": {"$eval": "{a:" * 50_000},
    "a chain of sums": {"$eval": "+".join(["1"] * 50_000)},
    "a chain of powers": {"$eval": "**".join(["1"] * 50_000)},
    "a chain of properties": {"$eval": "a" + ".a" * 50_000},
    "a chain of calls": {"$eval": "a" + "()" * 50_000},
    "chains in chains": {"$eval": "(1" * 90 + "+1" * 95 + ")" * 90},
    "lists in lists": _nested(5_000, lambda inner: [inner]),
    "objects in objects": _nested(5_000, lambda inner: {"a": inner}),
    "operators in operators": _nested(5_000, lambda inner: {"$json": inner}),
    "branches in branches": _nested(300, lambda inner: {"$if": "true", "then": inner}),
    "a large template": [["x"] * 1_000 for _ in range(60)],
    "an offset beyond the calendar": {"$fromNow": "99999999999 years"},
    "an offset of many digits": {"$fromNow": "9" * 5_000 + " days"},
    "an offset of spaces": {"$fromNow": "1" + " " * 100_000 + "x"},
    "an offset of a year 0": {"$fromNow": "-2023 years"},
    "sorting again and again": {
        "$let": {"l": {"$eval": "range(0, 9000)"}},
        "in": {"$map": {"$eval": "range(0, 9000)"}, "each(i)": {"$sort": {"$eval": "l"}}},
    },
    "comparing again and again": {
        "$let": {"l": {"$eval": "range(0, 9000)"}, "m": {"$eval": "range(0, 9000)"}},
        "in": {"$map": {"$eval": "range(0, 9000)"}, "each(i)": {"$eval": "l == m"}},
    },
    "looking up again and again": {
        "$let": {"l": {"$eval": "range(0, 9000)"}},
        "in": {"$map": {"$eval": "range(0, 9000)"}, "each(i)": {"$eval": "-1 in l"}},
    },
    "splitting again and again": {
        "$let": {"s": "x" * 50_000},
        "in": {"$map": {"$eval": "range(0, 9000)"}, "each(i)": {"$eval": "len(split(s, ''))"}},
    },
    "letters that grow": {"$eval": "uppercase('" + "ΐ" * 1_500_000 + "')"},
    "merging ever larger objects": {
        "$mergeDeep": {"$map": {"$eval": "range(0, 5000)"}, "each(i)": {"k${i}": 1}},
    },
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_template_bomb_is_refused(name: str) -> None:
    with pytest.raises(TemplateRefusedError):
        compile_template(BOMBS[name]).render({}, now=NOW)


PAYLOAD_BOMBS: dict[str, tuple[Any, Any]] = {
    "a payload that is found does not run": (
        {"$find": {"$eval": "payload"}, "each(x)": "true"},
        [{"$map": [1, 2, 3], "each(x)": "y"}],
    ),
    "a payload used often": (
        {"$map": {"$eval": "range(0, 1000)"}, "each(i)": {"$eval": "payload"}},
        ["x" * 10_000],
    ),
    "a payload nested without end": ({"$eval": "payload"}, _nested(2_000, lambda inner: [inner])),
}


@pytest.mark.parametrize("name", PAYLOAD_BOMBS)
def test_a_payload_bomb_is_refused(name: str) -> None:
    template, payload = PAYLOAD_BOMBS[name]
    with pytest.raises(TemplateRefusedError):
        compile_template(template).render({"payload": payload}, now=NOW)


def test_template_syntax_in_a_payload_is_text() -> None:
    payload = {"name": "${9 ** 9 ** 9}", "$eval": "taskId", "o": {"$map": [1], "each(x)": "x"}}
    template = {"a": {"$eval": "payload"}, "b": "${payload.name}", "${payload.name}": 1}
    rendered = compile_template(template).render({"payload": payload}, now=NOW)
    assert rendered == {"a": payload, "b": "${9 ** 9 ** 9}", "${9 ** 9 ** 9}": 1}
