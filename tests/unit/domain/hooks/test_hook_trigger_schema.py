"""Trigger schemas: what they let through, what is refused when one is saved, and what a payload may cost."""

from __future__ import annotations

from typing import Any

import pytest

from liftlock.domain.hooks.schema_rules import MAX_SCHEMA_DEPTH, check_schema
from liftlock.domain.hooks.trigger_schema import DEFAULT_TRIGGER_SCHEMA, compile_trigger_schema
from liftlock.errors import InputInvalidError, InputValidationError


def test_by_default_a_payload_is_an_empty_object() -> None:
    schema = compile_trigger_schema(DEFAULT_TRIGGER_SCHEMA)
    schema.validate({})
    for payload in ({"a": 1}, [], None, "x"):
        with pytest.raises(InputValidationError):
            schema.validate(payload)


def test_an_error_names_place_found_and_expected() -> None:
    schema = compile_trigger_schema({"properties": {"a": {"items": {"type": "string"}}}})
    with pytest.raises(InputValidationError) as refused:
        schema.validate({"a": ["x", 5]})
    assert refused.value.message == (
        'the payload does not fit the hook\'s triggerSchema:\npayload.a[1]: 5 is not of type "string"'
    )


def test_true_lets_everything_through_and_false_nothing() -> None:
    compile_trigger_schema(True).validate({"any": ["thing"]})
    with pytest.raises(InputValidationError):
        compile_trigger_schema(False).validate({})


def test_definitions_are_resolved_within_the_schema() -> None:
    schema = compile_trigger_schema(
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "definitions": {"a/b": {"type": "integer"}},
            "properties": {"x": {"$ref": "#/definitions/a~1b"}, "y": {"$ref": "#/properties/x"}},
        }
    )
    schema.validate({"x": 1, "y": 2})
    with pytest.raises(InputValidationError, match=r"payload\.y"):
        schema.validate({"x": 1, "y": "2"})


def test_formats_are_checked() -> None:
    schema = compile_trigger_schema({"items": {"format": "date-time"}})
    schema.validate(["2026-01-01T00:00:00Z"])
    with pytest.raises(InputValidationError):
        schema.validate(["yesterday"])


def test_a_pattern_matches_the_end_of_the_text_and_no_line() -> None:
    schema = compile_trigger_schema({"pattern": "^[a-z]+$"})
    schema.validate("abc")
    with pytest.raises(InputValidationError):
        schema.validate("abc\n")


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"typ": "object"}, "triggerSchema: unknown keyword 'typ'"),
        ({"properties": {"a": {"requird": []}}}, "triggerSchema/properties/a: unknown keyword"),
        ({"items": [{"x": 1}]}, "triggerSchema/items/0: unknown keyword"),
        ({"type": "objekt"}, "triggerSchema: at /type"),
        ({"required": "a"}, "triggerSchema: at /required"),
        ({"exclusiveMinimum": True}, "triggerSchema: at /exclusiveMinimum"),
        ({"format": "e-mail"}, "unknown format 'e-mail'"),
        ({"format": "regex"}, "unknown format 'regex'"),
        ({"format": ["date"]}, "unknown format"),
        ({"pattern": "("}, "triggerSchema: at /pattern"),
        ({"pattern": "(?=a)b"}, "no look-around"),
        ({"pattern": r"(a)\1"}, "no look-around"),
        ({"patternProperties": {"(": {}}}, "triggerSchema: at /patternProperties"),
        ({"$ref": "http://127.0.0.1:1/schema"}, "within this schema"),
        ({"$ref": "file:///etc/passwd"}, "within this schema"),
        ({"$ref": "other.json#/a"}, "within this schema"),
        ({"$ref": "#/definitions/none"}, "names no subschema"),
        ({"$ref": "#/default", "default": {"typ": 1}}, "names no subschema"),
        ({"$ref": 1}, "within this schema"),
        ({"$schema": ["x"]}, r"\$schema"),
        ({"$id": "http://example.com/"}, "unknown keyword '$id'"),
        ({"$schema": "https://json-schema.org/draft/2020-12/schema"}, r"\$schema"),
        ({"properties": {"a": {"$schema": "http://json-schema.org/draft-07/schema#"}}}, r"\$schema"),
        ({"definitions": {"a": {}}, "$ref": "#/definitions/a", "maxLength": 1}, "would be ignored"),
        ({"$ref": "#"}, "in a circle"),
        ({"properties": {"a": {"$ref": "#"}}}, "in a circle"),
        ({"properties": [1]}, "expected an object of schemas"),
        ({"allOf": {}}, "expected a list of schemas"),
        ({"not": 1}, "expected a schema"),
        ([], "expected a schema"),
        (None, "expected a schema"),
        ("x", "expected a schema"),
    ],
)
def test_a_wrong_schema_is_refused_when_it_is_saved(schema: Any, message: str) -> None:
    with pytest.raises(InputInvalidError) as refused:
        compile_trigger_schema(schema)
    assert refused.match(message.replace("$id", r"\$id"))


def test_the_size_counts_every_use_of_a_definition() -> None:
    schema = {
        "definitions": {"a": {"items": True}, "b": {"allOf": [{"$ref": "#/definitions/a"}] * 2}},
        "properties": {"x": {"$ref": "#/definitions/b"}},
    }
    #  top 1 + a 2 + b (1 + 2 * (1 + 2)) + x (1 + 7)
    assert check_schema(schema) == 1 + 2 + 7 + 8


def test_subschemas_may_be_64_levels_deep() -> None:
    schema: Any = {}
    for _ in range(MAX_SCHEMA_DEPTH):
        schema = {"not": schema}
    check_schema(schema)
    with pytest.raises(InputInvalidError, match="64 levels"):
        check_schema({"not": schema})


def test_a_payload_may_be_100_levels_deep() -> None:
    payload: Any = 1
    for _ in range(100):
        payload = [payload]
    compile_trigger_schema({}).validate(payload)
    with pytest.raises(InputValidationError, match="more than 100 deep"):
        compile_trigger_schema({}).validate([payload])


@pytest.mark.parametrize("keyword", ["const", "default"])
def test_data_in_a_schema_is_nested_as_little(keyword: str) -> None:
    data: Any = 1
    for _ in range(3_000):
        data = [data]
    with pytest.raises(InputInvalidError, match="100 levels"):
        compile_trigger_schema({keyword: data})
