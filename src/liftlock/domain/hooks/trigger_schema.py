"""The schema that every payload must fit before a hook fires, compiled when the hook is saved."""

from __future__ import annotations

from typing import Any, Final

import jsonschema_rs

from liftlock.domain.hooks.depth import MAX_DEPTH, count_parts
from liftlock.domain.hooks.schema_rules import check_schema
from liftlock.errors import InputInvalidError, InputValidationError
from liftlock.values.json import canonical

DEFAULT_TRIGGER_SCHEMA: Final[dict[str, Any]] = {"type": "object", "additionalProperties": False}
MAX_SCHEMA_BYTES: Final = 256 << 10
MAX_PATTERN_BYTES: Final = 256 << 10
"""Memory of one compiled pattern."""
MAX_CHECKS: Final = 10_000_000
"""Subschemas times parts of the payload: what one validation may take, about half a second."""
_MAX_ERRORS: Final = 5
_SHOWN: Final = 160
_MISFIT: Final = "the payload does not fit the hook's triggerSchema:"


class TriggerSchema:
    """A compiled trigger schema; make it with `compile_trigger_schema`."""

    __slots__ = ("_size", "_validator")

    def __init__(self, validator: jsonschema_rs.Draft7Validator, size: int) -> None:
        self._validator = validator
        self._size = size

    def validate(self, payload: Any) -> None:
        """Return if `payload` fits.

        Raises:
            InputValidationError: it does not; the message lists at most 5 places with what was found and expected.
                Its detail `without_values` says the same without what the payload holds, for records.
        """
        parts = count_parts(payload)
        if parts is None:
            raise InputValidationError(f"the payload is nested more than {MAX_DEPTH} deep")
        if parts * self._size > MAX_CHECKS:
            raise InputValidationError("the payload is too large for the hook's triggerSchema: send less")
        if self._validator.is_valid(payload):
            return
        lines, places = [], []
        for number, error in enumerate(self._validator.iter_errors(payload)):
            if number == _MAX_ERRORS:
                lines.append("… and more")
                break
            place = "".join(
                f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.instance_path
            )
            lines.append(f"payload{place[:_SHOWN]}: {_short(error.message)}")
            rule = "/".join(map(str, error.schema_path))
            places.append(f"payload{place[:_SHOWN]}: violates {rule[:_SHOWN]}")
        raise InputValidationError("\n".join([_MISFIT, *lines]), without_values="\n".join([_MISFIT, *places]))


def compile_trigger_schema(schema: Any) -> TriggerSchema:
    """Return `schema` compiled; its patterns run in linear time, and nothing is ever fetched.

    Raises:
        InputInvalidError: the schema is wrong, too large or too costly; the message says where.
    """
    if count_parts(schema) is None:
        raise InputInvalidError(f"triggerSchema: expected at most {MAX_DEPTH} levels of nesting")
    size_bytes = len(canonical(schema))
    if size_bytes > MAX_SCHEMA_BYTES:
        raise InputInvalidError(f"triggerSchema: expected at most {MAX_SCHEMA_BYTES} bytes, got {size_bytes}")
    size = check_schema(schema)
    plain = (
        {key: value for key, value in schema.items() if key != "$schema"}
        if isinstance(schema, dict)
        else schema
    )
    try:
        validator = jsonschema_rs.Draft7Validator(
            plain,
            validate_formats=True,
            ignore_unknown_formats=False,
            pattern_options=jsonschema_rs.RegexOptions(size_limit=MAX_PATTERN_BYTES),
            offline=True,
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        raise InputInvalidError(f"triggerSchema: {_problem(error)}") from error
    return TriggerSchema(validator, size)


def _problem(error: Exception) -> str:
    """Return what is wrong with a schema and where, as far as the library says."""
    if isinstance(error, jsonschema_rs.ValidationError):
        place = "".join(f"/{part}" for part in error.instance_path)
        hint = " (patterns have no look-around and no back references, and compile to 256 KiB at most)"
        return f"at {place or '/'}: {_short(error.message)}" + (hint if "regex" in error.message else "")
    return _short(str(error))


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN * 2 else f"{text[:_SHOWN]} … {text[-_SHOWN:]}"
