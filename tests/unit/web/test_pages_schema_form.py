"""Forms from JSON Schemas: every kind of field goes to the form and back; hostile schemas and texts do no harm."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.errors import InputInvalidError
from liftlock.web.pages.schema_form import Field, form_of, from_yaml, value_of, yaml_text

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["version", "channel", "kind"],
    "properties": {
        "version": {"type": "string", "title": "Version"},
        "channel": {"enum": ["beta", "release"]},
        "platform": {"enum": ["a", "b", "c", "d", "e"]},
        "day": {"type": "string", "format": "date"},
        "count": {"type": "integer"},
        "dry": {"type": "boolean"},
        "kind": {"const": "promote"},
        "tasks": {"type": "array", "items": {"type": "string"}},
        "notes": {"type": "string", "maxLength": 4000},
        "partials": {"type": "array", "items": {"type": "object"}},
        "mail": {"type": "object", "properties": {"to": {"type": "string"}, "cc": {"type": "string"}}},
        "where": {
            "oneOf": [
                {
                    "title": "a task",
                    "type": "object",
                    "properties": {"by": {"const": "task"}, "id": {"type": "string"}},
                },
                {"title": "a number", "type": "integer"},
            ]
        },
    },
}
VALUE: dict[str, Any] = {
    "version": "4.12.0",
    "channel": "release",
    "platform": "c",
    "day": "2026-03-01",
    "count": 3,
    "dry": True,
    "kind": "promote",
    "tasks": ["one", "two"],
    "notes": "a\nb",
    "partials": [{"from": "4.11"}],
    "mail": {"to": "x@example.org"},
    "where": {"by": "task", "id": "abc"},
}


def sent(field: Field) -> dict[str, list[str]]:
    """Return what a browser sends of the form as it is filled in."""
    form: dict[str, list[str]] = {}
    if field.kind == "check":
        if field.value:
            form[field.name] = [field.value]
    elif field.kind not in ("group", "fixed"):
        form[field.name] = [field.value.replace("\n", "\r\n")]
    for part in field.parts:
        form |= sent(part)
    return form


def test_a_form_that_is_sent_as_it_was_filled_in_says_the_same_value() -> None:
    assert value_of(SCHEMA, sent(form_of(SCHEMA, VALUE))) == VALUE


def test_the_schema_decides_the_kind_of_each_field() -> None:
    kinds = {part.label: part.kind for part in form_of(SCHEMA, None).parts}
    assert kinds == {
        "Version": "text",
        "channel": "radio",
        "platform": "select",
        "day": "date",
        "count": "number",
        "dry": "check",
        "kind": "fixed",
        "tasks": "lines",
        "notes": "long",
        "partials": "yaml",
        "mail": "group",
        "where": "one",
    }


def test_what_is_left_empty_is_left_out_unless_it_is_required() -> None:
    assert value_of(SCHEMA, {}) == {"version": "", "kind": "promote", "dry": False, "where": {"by": "task"}}


def test_the_other_variant_can_be_chosen() -> None:
    form = sent(form_of(SCHEMA, VALUE)) | {"in/where": ["1"], "in/where/?1": ["7"]}
    assert value_of(SCHEMA, form)["where"] == 7


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("in/count", "three", "count: expected a number, got 'three'"),
        ("in/count", "true", "count: expected a number, got 'true'"),
        ("in/channel", '"nightly"', "channel: expected one of the options"),
        ("in/where", "9", "where: expected one of the variants"),
        ("in/partials", "[", "partials: expected YAML of JSON values:"),
        ("in/partials", "&a [*a]", "partials: aliases are not taken here"),
        ("in/partials", "!!python/object/apply:os.system [id]", "partials: expected YAML of JSON values:"),
    ],
)
def test_a_text_that_is_none_is_refused_by_name(name: str, text: str, message: str) -> None:
    with pytest.raises(InputInvalidError) as caught:
        value_of(SCHEMA, {name: [text]})
    assert caught.value.message.startswith(message)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_yaml_says_the_value_that_it_was_made_of(value: Any) -> None:
    assert from_yaml(yaml_text(value), "input") == value


@given(
    JSON,
    JSON,
    st.dictionaries(st.sampled_from(["in", "in/a", "in/?0"]), st.lists(st.text(max_size=9), min_size=1)),
)
def test_any_schema_makes_a_form_and_any_answer_is_read_or_refused(
    schema: Any, value: Any, form: Any
) -> None:
    form_of(schema, value)
    with contextlib.suppress(InputInvalidError):
        value_of(schema, form)


def test_a_schema_without_end_becomes_a_form_with_one() -> None:
    deep: Any = {"type": "string"}
    for _ in range(50):
        deep = {"type": "object", "properties": {"x": deep}}
    wide = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(5000)}}
    assert form_of(deep, None).parts[0].kind == "group"
    assert len(form_of(wide, None).parts) == 300
