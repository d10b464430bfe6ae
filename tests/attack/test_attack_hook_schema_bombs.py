"""Trigger schemas that want all of the machine, when a hook is saved or when a payload is checked."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.domain.hooks.trigger_schema import compile_trigger_schema
from liftlock.errors import InputInvalidError, InputValidationError


def _doubling(levels: int) -> dict[str, Any]:
    definitions: dict[str, Any] = {"d0": {"type": "integer"}}
    for level in range(1, levels):
        definitions[f"d{level}"] = {"allOf": [{"$ref": f"#/definitions/d{level - 1}"}] * 2}
    return {"definitions": definitions, "items": {"$ref": f"#/definitions/d{levels - 1}"}}


def _deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"properties": {"a": schema}}
    return schema


SCHEMA_BOMBS: dict[str, Any] = {
    "references that double": _doubling(40),
    "references that double through properties": {
        "definitions": {
            f"d{n}": {"properties": {k: {"$ref": f"#/definitions/d{n - 1}"} for k in "ab"}} if n else {}
            for n in range(40)
        },
        "$ref": "#/definitions/d39",
    },
    "a reference to itself": {"$ref": "#"},
    "a reference in a circle through every branch": {
        "anyOf": [{"properties": {"a": {"$ref": "#"}}}, {"properties": {"a": {"$ref": "#"}}}]
    },
    "references in a circle of two": {
        "definitions": {"a": {"$ref": "#/definitions/b"}, "b": {"not": {"$ref": "#/definitions/a"}}}
    },
    "a deep schema": _deep(3_000),
    "a wide schema": {"allOf": [{}] * 6_000},
    "a large schema": {"enum": ["x" * 1_000] * 1_000},
    "a pattern that repeats repeats": {"pattern": "(((a{1000}){1000}){1000})"},
    "a pattern of all letters, often": {"pattern": r"(\pL{100}){100}"},
    "more patterns than anybody needs": {"allOf": [{"pattern": "a"}] * 501},
    "a schema on another machine": {"$ref": "http://127.0.0.1:9/x"},
    "a schema in a file": {"$ref": "file:///dev/zero"},
    "a base elsewhere": {"$id": "file:///dev/", "$ref": "#"},
}


@pytest.mark.parametrize("name", SCHEMA_BOMBS)
def test_a_schema_bomb_is_refused_when_the_hook_is_saved(name: str) -> None:
    with pytest.raises(InputInvalidError, match="triggerSchema"):
        compile_trigger_schema(SCHEMA_BOMBS[name])


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("^(a+)+$", "a" * 500_000 + "b"),
        ("^(a|aa)+$", "a" * 500_000 + "b"),
        ("^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 500_000),
        ("^(.*a){12}$", "a" * 500_000 + "b"),
    ],
)
def test_a_regex_bomb_takes_linear_time(pattern: str, text: str) -> None:
    schema = compile_trigger_schema({"pattern": pattern})
    with pytest.raises(InputValidationError):
        schema.validate(text)


def test_a_payload_too_large_for_its_schema_is_refused_unread() -> None:
    schema = compile_trigger_schema({"items": {"allOf": [{"type": "integer"}] * 4_000}})
    with pytest.raises(InputValidationError, match="too large for the hook's triggerSchema"):
        schema.validate(list(range(100_000)))


_WORDS = (
    "$ref",
    "$id",
    "type",
    "properties",
    "items",
    "allOf",
    "anyOf",
    "not",
    "pattern",
    "enum",
    "format",
    "definitions",
    "if",
    "then",
)
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from(
        (
            "object",
            "string",
            "#",
            "#/definitions/a",
            "http://127.0.0.1:9/x",
            "file:///dev/zero",
            "(a+)+$",
            "\\pL{9}",
            "date-time",
        )
    ),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(_WORDS) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(_WORDS), _JSON, max_size=5) | _JSON, _JSON)
def test_a_schema_of_any_json_is_refused_or_decides_about_any_payload(schema: Any, payload: Any) -> None:
    try:
        compiled = compile_trigger_schema(schema)
    except InputInvalidError:
        return
    with contextlib.suppress(InputValidationError):
        compiled.validate(payload)
