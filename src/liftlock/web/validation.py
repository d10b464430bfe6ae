"""Bodies are checked against published JSON Schemas; an error names the place, what was found and what was expected.

The schemas are read when this module is imported, so that a process may drop its right to read files afterwards.
"""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

import jsonschema_rs

from liftlock.errors import InputValidationError
from liftlock.values.json import decode

MAX_ERRORS = 5
_SHOWN = 120


def _load(folder: Traversable, prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in folder.iterdir():
        if item.is_dir():
            found |= _load(item, f"{prefix}{item.name}/")
        elif item.name.endswith(".json"):
            found[prefix + item.name.removesuffix(".json")] = decode(item.read_bytes(), what=item.name)
    return found


SCHEMAS: dict[str, Any] = _load(resources.files("liftlock.web") / "schemas")
"""Every published schema by its name, `<service>/<name>`."""

_REGISTRY = jsonschema_rs.Registry(
    [(f"liftlock:{name}", schema) for name, schema in SCHEMAS.items()], draft=jsonschema_rs.Draft7
)
_VALIDATORS: dict[str, jsonschema_rs.Draft7Validator] = {}


def _validator(name: str) -> jsonschema_rs.Draft7Validator:
    found = _VALIDATORS.get(name)
    if found is None:
        found = jsonschema_rs.Draft7Validator(
            {"$ref": f"liftlock:{name}"},
            registry=_REGISTRY,
            pattern_options=jsonschema_rs.RegexOptions(),
            offline=True,
        )
        _VALIDATORS[name] = found
    return found


def validate(name: str, payload: Any) -> None:
    """Return if `payload` is valid by the schema called `name`.

    Raises:
        InputValidationError: it is not; the message lists at most `MAX_ERRORS` places.
    """
    validator = _validator(name)
    if validator.is_valid(payload):
        return
    lines = []
    for number, error in enumerate(validator.iter_errors(payload)):
        if number == MAX_ERRORS:
            lines.append("… and more")
            break
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.instance_path)
        lines.append(f"body{place}: {_short(error.message)}")
    raise InputValidationError(f"the body does not fit the schema {name}:\n" + "\n".join(lines), schema=name)


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN * 2 else f"{text[:_SHOWN]} … {text[-_SHOWN:]}"
