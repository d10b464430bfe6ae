"""What a rendering may use, and the meter that it runs on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

from liftlock.errors import TemplateRefusedError

MAX_VALUE_DEPTH = 100
"""Nesting of lists and objects that a rendering may produce or read."""
MAX_INTEGER_BITS = 256
"""Size of an integer that arithmetic may produce; larger ones are of no use in JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fuel:
    """The bounds of one rendering.

    Args:
        steps: Expressions evaluated plus values made or compared (about 0.1 µs to 1 µs each).
        chars: Characters of all strings made or copied by reference, in total.
    """

    steps: int
    chars: int


DEFAULT_FUEL = Fuel(steps=200_000, chars=4 << 20)


class Meter:
    """Counts one rendering down; every charge that does not fit ends it with TemplateRefusedError."""

    __slots__ = ("_fuel", "chars", "function_seen", "now", "steps")

    def __init__(self, fuel: Fuel, now: str) -> None:
        self._fuel = fuel
        self.steps = fuel.steps
        self.chars = fuel.chars
        self.now = now  # the present, where the template counts from null
        self.function_seen = (
            False  # whether a builtin was read as a value, and may be left over in the result
        )

    def step(self, count: int = 1) -> None:
        """Charge `count` steps (0 or more)."""
        self.steps -= count
        if self.steps < 0:
            self._exhausted("steps", self._fuel.steps)

    def text(self, length: int) -> None:
        """Charge a string of `length` characters."""
        self.chars -= length
        if self.chars < 0:
            self._exhausted("characters", self._fuel.chars)

    def value(self, value: Any, depth: int = 0) -> None:
        """Charge a whole value that is about to be used in one more place.

        A value that holds another twice is charged twice: sharing would otherwise make a small rendering whose
        JSON is exponentially large.
        """
        kind = type(value)
        if kind is str:
            self.text(len(value))
        elif kind is list:
            self._enter(len(value), depth)
            for item in value:
                self.value(item, depth + 1)
        elif kind is dict:
            self._enter(len(value), depth)
            for key, item in value.items():
                self.text(len(key))
                self.value(item, depth + 1)

    def _enter(self, size: int, depth: int) -> None:
        self.step(size + 1)
        if depth >= MAX_VALUE_DEPTH:
            raise TemplateRefusedError(f"a value is nested more than {MAX_VALUE_DEPTH} deep")

    def _exhausted(self, what: str, limit: int) -> NoReturn:
        raise TemplateRefusedError(
            f"rendering needs more than {limit} {what}: make the template or its input smaller"
        )
