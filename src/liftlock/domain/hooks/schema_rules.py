"""What a trigger schema may be: JSON Schema draft 7 without anything that could cost or mean more than it shows.

Refused when the hook is saved: unknown keywords and formats (a typo would check nothing), references to anything but
the schema itself, references in a circle, constraints beside a `$ref` (draft 7 ignores them), schemas that are too
large, too deep, or larger than they look once their references are expanded.

Source: docs/reference/hooks.md#trigger-schema
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote

from liftlock.errors import InputInvalidError

MAX_SCHEMA_DEPTH: Final = 64
MAX_SCHEMA_PARTS: Final = 5_000
"""Subschemas written in a schema."""
MAX_EXPANDED_PARTS: Final = 20_000
"""Subschemas after every `$ref` is replaced by what it names."""
MAX_PATTERNS: Final = 500

_ONE: Final = frozenset(
    [
        "additionalItems",
        "additionalProperties",
        "contains",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
    ]
)
_SEVERAL: Final = frozenset(("allOf", "anyOf", "oneOf"))
_BY_NAME: Final = frozenset(("definitions", "dependencies", "patternProperties", "properties"))
_NOTES: Final = frozenset(
    [
        "$comment",
        "$schema",
        "contentEncoding",
        "contentMediaType",
        "default",
        "description",
        "examples",
        "readOnly",
        "title",
        "writeOnly",
    ]
)
_VALUES: Final = frozenset(
    [
        "const",
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "format",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "multipleOf",
        "pattern",
        "required",
        "type",
        "uniqueItems",
    ]
)
KEYWORDS: Final = _ONE | _SEVERAL | _BY_NAME | _NOTES | _VALUES | {"$ref"}
FORMATS: Final = frozenset(
    [
        "date",
        "date-time",
        "email",
        "hostname",
        "idn-email",
        "idn-hostname",
        "ipv4",
        "ipv6",
        "iri",
        "iri-reference",
        "json-pointer",
        "relative-json-pointer",
        "time",
        "uri",
        "uri-reference",
        "uri-template",
    ]
)
DRAFTS: Final = frozenset(
    f"{scheme}://json-schema.org/{draft}schema{end}"
    for scheme in ("http", "https")
    for draft in ("", "draft-06/", "draft-07/")
    for end in ("", "#")
)


def check_schema(schema: Any) -> int:
    """Return the number of subschemas of `schema` with its references expanded: the cost of one look at a value.

    Raises:
        InputInvalidError: the schema breaks a rule; the message names the place, like `triggerSchema/properties/a`.
    """
    parts: dict[str, Any] = {}
    _collect(schema, "", parts, 0)
    if sum("pattern" in part or "patternProperties" in part for part in parts.values()) > MAX_PATTERNS:
        raise _wrong("", f"it has more than {MAX_PATTERNS} patterns")
    sizes: dict[str, int] = {}
    return _expanded_size("", parts, sizes, set())


def _wrong(pointer: str, message: str) -> InputInvalidError:
    return InputInvalidError(f"triggerSchema{pointer[:200]}: {message}")


def _collect(schema: Any, pointer: str, parts: dict[str, Any], depth: int) -> None:
    """Gather every subschema by its JSON pointer into `parts` (booleans as empty objects), checking each."""
    if depth > MAX_SCHEMA_DEPTH:
        raise _wrong(pointer, f"expected at most {MAX_SCHEMA_DEPTH} levels of subschemas")
    if len(parts) >= MAX_SCHEMA_PARTS:
        raise _wrong("", f"expected at most {MAX_SCHEMA_PARTS} subschemas")
    if isinstance(schema, bool):
        parts[pointer] = {}
        return
    if not isinstance(schema, dict):
        raise _wrong(pointer, f"expected a schema (an object or a boolean), got {type(schema).__name__}")
    parts[pointer] = schema
    _check_keywords(schema, pointer)
    for inner, where in _subschemas(schema, pointer):
        _collect(inner, where, parts, depth + 1)


def _check_keywords(schema: dict[str, Any], pointer: str) -> None:
    unknown = sorted(set(schema) - KEYWORDS)
    if unknown:
        raise _wrong(pointer, f"unknown keyword {unknown[0][:80]!r}; it would check nothing")
    if "$schema" in schema and (pointer or not _is_one_of(DRAFTS, schema["$schema"])):
        raise _wrong(pointer, "$schema: expected http://json-schema.org/draft-07/schema#, at the top only")
    if "format" in schema and not _is_one_of(FORMATS, schema["format"]):
        raise _wrong(pointer, f"unknown format {schema['format']!r:.80}; known: {', '.join(sorted(FORMATS))}")
    if "$ref" in schema:
        ignored = sorted(set(schema) - _NOTES - {"$ref", "definitions"})
        if ignored:
            raise _wrong(pointer, f"{ignored[0]!r} beside $ref would be ignored; put both into allOf")


def _is_one_of(known: frozenset[str], value: Any) -> bool:
    return isinstance(value, str) and value in known


def _subschemas(schema: dict[str, Any], pointer: str) -> Iterator[tuple[Any, str]]:
    """Yield each direct subschema with its pointer."""
    for keyword, value in schema.items():
        here = f"{pointer}/{keyword}"
        if keyword in _ONE and not (keyword == "items" and isinstance(value, list)):
            yield value, here
        elif keyword in _SEVERAL or keyword == "items":
            if not isinstance(value, list):
                raise _wrong(here, "expected a list of schemas")
            for index, inner in enumerate(value):
                yield inner, f"{here}/{index}"
        elif keyword in _BY_NAME:
            if not isinstance(value, dict):
                raise _wrong(here, "expected an object of schemas")
            for name, inner in value.items():
                if not (keyword == "dependencies" and isinstance(inner, list)):
                    yield inner, f"{here}/{name.replace('~', '~0').replace('/', '~1')}"


def _expanded_size(pointer: str, parts: dict[str, Any], sizes: dict[str, int], within: set[str]) -> int:
    """Return how many subschemas `pointer` stands for; `within` are those that it is part of or reached from."""
    if pointer in sizes:
        return sizes[pointer]
    if pointer in within:
        raise _wrong(pointer, "$ref in a circle is not supported; write the levels out that you need")
    within.add(pointer)
    schema = parts[pointer]
    size = 1
    if "$ref" in schema:
        size += _expanded_size(_target(schema["$ref"], pointer, parts), parts, sizes, within)
    for _, where in _subschemas(schema, pointer):
        size += _expanded_size(where, parts, sizes, within)
        if size > MAX_EXPANDED_PARTS:
            raise _wrong(pointer, f"its references expand to more than {MAX_EXPANDED_PARTS} subschemas")
    within.discard(pointer)
    sizes[pointer] = size
    return size


def _target(reference: Any, pointer: str, parts: dict[str, Any]) -> str:
    """Return the pointer that `$ref` names, which must be a subschema of this very schema."""
    if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
        raise _wrong(pointer, f"$ref: expected '#/definitions/…' within this schema, got {reference!r:.80}")
    target = unquote(reference[1:])
    if target not in parts:
        raise _wrong(pointer, f"$ref: {reference[:80]!r} names no subschema here")
    return target
