"""How further records of an envelope are inserted: each record type registers its script."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from liftlock.adapters.sql.script import Script

R = TypeVar("R")
_SCRIPTS: dict[type, Callable[[Any], Script[None]]] = {}


def record_script(
    record_type: type[R],
) -> Callable[[Callable[[R], Script[None]]], Callable[[R], Script[None]]]:
    """Register the decorated script as the way in which a `record_type` commits with a change."""

    def register(script: Callable[[R], Script[None]]) -> Callable[[R], Script[None]]:
        _SCRIPTS[record_type] = script
        return script

    return register


def script_of(record: object) -> Script[None]:
    """Return the script that inserts `record`; a KeyError here is a programming mistake."""
    return _SCRIPTS[type(record)](record)
