"""How further records of an envelope are inserted: each record type registers its script."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from liftlock.adapters.sql.script import Script

R = TypeVar("R")
_SCRIPTS: dict[type, Callable[[Sequence[Any]], Script[None]]] = {}


def records_script(
    record_type: type[R],
) -> Callable[[Callable[[Sequence[R]], Script[None]]], Callable[[Sequence[R]], Script[None]]]:
    """Register the decorated script as the way in which records of `record_type`, one or many, commit with changes."""

    def register(script: Callable[[Sequence[R]], Script[None]]) -> Callable[[Sequence[R]], Script[None]]:
        _SCRIPTS[record_type] = script
        return script

    return register


def record_script(
    record_type: type[R],
) -> Callable[[Callable[[R], Script[None]]], Callable[[R], Script[None]]]:
    """Register the decorated script as the way in which a `record_type` commits with a change; many go one by one."""

    def register(script: Callable[[R], Script[None]]) -> Callable[[R], Script[None]]:
        def one_by_one(records: Sequence[R]) -> Script[None]:
            for record in records:
                yield from script(record)

        _SCRIPTS[record_type] = one_by_one
        return script

    return register


def script_of(records: Sequence[object]) -> Script[None]:
    """Insert `records`, type by type in the order in which each first appears; a KeyError is a programming mistake."""
    by_type: dict[type, list[object]] = {}
    for record in records:
        by_type.setdefault(type(record), []).append(record)
    for kind, alike in by_type.items():
        yield from _SCRIPTS[kind](alike)
