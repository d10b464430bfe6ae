"""A form from a JSON Schema, and the value that a form says: without scripts, for hostile schemas too.

What the form can't show as fields (and everything below `MAX_DEPTH`) is a field of YAML. The schema decides what is
asked; whether the value fits is decided by the validator alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import yaml

from liftlock.errors import InputInvalidError

MAX_DEPTH: Final = 5
MAX_FIELDS: Final = 300
MAX_OPTIONS: Final = 200
FEW: Final = 4
"""So many options are shown as radio buttons; more as a list."""
PREFIX: Final = "in"

Kind = Literal[
    "text",
    "long",
    "number",
    "date",
    "time",
    "check",
    "radio",
    "select",
    "lines",
    "fixed",
    "yaml",
    "group",
    "one",
]


@dataclass(frozen=True, slots=True)
class Field:
    """One part of the form. `name` is the form's; `value` is text (for `check`, "on" or ""); `options` are (value, label).

    `parts` are the fields of a group, or the variants of `one`.
    """

    kind: Kind
    name: str
    label: str
    help: str
    required: bool
    value: str = ""
    options: tuple[tuple[str, str], ...] = ()
    parts: tuple[Field, ...] = ()


def form_of(schema: Any, value: Any) -> Field:
    """Return the form for `schema`, filled with `value`."""
    return _Maker().field(schema, value, PREFIX, "Input", True, 0)


class _Maker:
    def __init__(self) -> None:
        self._left = MAX_FIELDS

    def field(self, schema: Any, value: Any, name: str, label: str, required: bool, depth: int) -> Field:
        said = schema if isinstance(schema, dict) else {}
        shown = _text(said.get("title"), label)
        help_text = _text(said.get("description"), "")
        self._left -= 1
        kind = "yaml" if depth > MAX_DEPTH or self._left < 0 else _kind(said)
        given: dict[str, Any] = {}
        if kind == "group":
            given["parts"] = self._parts(said, value, name, depth)
        elif kind == "one":
            given["parts"] = tuple(
                self.field(variant, value, f"{name}/?{place}", f"Variant {place + 1}", True, depth + 1)
                for place, variant in enumerate(said["oneOf"][:MAX_OPTIONS])
            )
            given["value"] = str(_fitting(said["oneOf"], value))
        elif kind in ("radio", "select"):
            options = said["enum"][:MAX_OPTIONS]
            given["options"] = tuple((json.dumps(one), _shown(one)) for one in options)
            given["value"] = json.dumps(value) if value is not None or None in options else ""
        else:
            given["value"] = _value_text(kind, value, said)
        return Field(kind, name, shown[:200], help_text[:2_000], required, **given)

    def _parts(self, said: dict[str, Any], value: Any, name: str, depth: int) -> tuple[Field, ...]:
        needed = said.get("required")
        needed = needed if isinstance(needed, list) else []
        inside = value if isinstance(value, dict) else {}
        return tuple(
            self.field(part, inside.get(key), f"{name}/{key}", key, key in needed, depth + 1)
            for key, part in list(said["properties"].items())[:MAX_FIELDS]
        )


def _kind(said: Mapping[str, Any]) -> Kind:  # noqa: PLR0911 -- one line a kind
    options = said.get("enum")
    if "const" in said:
        return "fixed"
    if isinstance(options, list) and options:
        return "radio" if len(options) <= FEW else "select"
    if isinstance(said.get("oneOf"), list) and said["oneOf"]:
        return "one"
    match said.get("type"):
        case "boolean":
            return "check"
        case "integer" | "number":
            return "number"
        case "string":
            special: dict[Any, Kind] = {"date": "date", "time": "time"}
            long = isinstance(said.get("maxLength"), int) and said["maxLength"] > 300
            return special.get(said.get("format"), "long" if long else "text")
        case "array" if isinstance(said.get("items"), dict) and said["items"].get("type") == "string":
            return "lines"
        case "object" if isinstance(said.get("properties"), dict) and said["properties"]:
            return "group"
    return "yaml"


def _text(value: Any, otherwise: str) -> str:
    return value if isinstance(value, str) and value.strip() else otherwise


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _value_text(kind: Kind, value: Any, said: Mapping[str, Any]) -> str:
    if kind == "fixed":
        return _shown(said["const"])
    if kind == "check":
        return "on" if value is True else ""
    if value is None:
        return ""
    if kind == "lines" and isinstance(value, list):
        return "\n".join(map(_shown, value))
    return yaml_text(value) if kind == "yaml" else _shown(value)


def _fitting(variants: list[Any], value: Any) -> int:
    """Return the place of the variant that the value looks like."""
    for place, variant in enumerate(variants):
        if not isinstance(variant, dict):
            continue
        names = variant.get("properties")
        if isinstance(value, dict) and isinstance(names, dict) and set(value) <= set(names):
            constants = {
                key: part["const"]
                for key, part in names.items()
                if isinstance(part, dict) and "const" in part
            }
            if all(value.get(key) == wanted for key, wanted in constants.items()):
                return place
        kinds: dict[Any, Any] = {
            "string": str,
            "integer": int,
            "number": (int, float),
            "array": list,
            "boolean": bool,
        }
        if variant.get("type") in kinds and isinstance(value, kinds[variant["type"]]):
            return place
    return 0


def value_of(schema: Any, form: Mapping[str, list[str]]) -> Any:
    """Return the value that a form made by `form_of` says; what was left empty and is not required is left out.

    Raises:
        InputInvalidError: a field's text is no number, no option or no YAML; the message names it.
    """
    return _read(form_of(schema, None), schema, form)


_LEFT_OUT: Final = object()


def _read(field: Field, schema: Any, form: Mapping[str, list[str]]) -> Any:  # noqa: C901, PLR0911 -- one branch a kind
    text = form.get(field.name, [""])[-1].replace("\r\n", "\n")
    empty = None if field.name == PREFIX else _LEFT_OUT
    match field.kind:
        case "group":
            read = {
                part.name.rpartition("/")[2]: _read(part, schema["properties"][key], form)
                for key, part in zip(schema["properties"], field.parts, strict=False)
            }
            found = {key: value for key, value in read.items() if value is not _LEFT_OUT}
            return found if found or field.required else empty
        case "one":
            place = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0
            if place >= len(field.parts):
                raise InputInvalidError(f"{field.label}: expected one of the variants")
            return _read(field.parts[place], schema["oneOf"][place], form)
        case "fixed":
            return schema["const"]
        case "check":
            return text == "on"
        case "lines":
            lines = [line for line in text.split("\n") if line]
            return lines if lines or field.required else empty
        case "text" | "long" | "date" | "time":
            return text if text or field.required else empty
    if not text.strip():
        return "" if field.required and field.kind == "number" else empty
    if field.kind in ("radio", "select"):
        chosen = [value for value, _ in field.options if value == text]
        if not chosen:
            raise InputInvalidError(f"{field.label}: expected one of the options")
        return json.loads(chosen[0])
    return _number(field, text) if field.kind == "number" else from_yaml(text, field.label)


def _number(field: Field, text: str) -> Any:
    try:
        value = json.loads(text.strip()[:40])
    except ValueError as error:
        raise InputInvalidError(f"{field.label}: expected a number, got {text[:32]!r}") from error
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputInvalidError(f"{field.label}: expected a number, got {text[:32]!r}")
    return value


def yaml_text(value: Any) -> str:
    """Return `value` as YAML for people to edit."""
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)


def from_yaml(text: str, what: str) -> Any:
    """Return the JSON value that a YAML text says.

    Raises:
        InputInvalidError: it is no YAML, holds what JSON has not, or refers to itself.
    """
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise InputInvalidError(f"{what}: aliases are not taken here: write the value where it is needed")
        value = yaml.safe_load(text)
        return json.loads(json.dumps(value, allow_nan=False))
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise InputInvalidError(f"{what}: expected YAML of JSON values: {str(error)[:300]}") from error
