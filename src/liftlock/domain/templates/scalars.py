"""Numbers and text: what counts as which, and how large a number may grow."""

from __future__ import annotations

import math
from typing import Any

from liftlock.domain.templates.fuel import MAX_INTEGER_BITS
from liftlock.errors import TemplateRefusedError


def is_number(value: Any) -> bool:
    """Tell whether `value` is an integer or a float, and no boolean."""
    return type(value) is int or type(value) is float


def bounded(value: Any) -> int | float:
    """Return the result of a calculation, if it is a number that JSON can hold."""
    if type(value) is int:
        if value.bit_length() > MAX_INTEGER_BITS:
            raise TemplateRefusedError(f"an integer grows over {MAX_INTEGER_BITS} bits")
        return value
    if type(value) is float and math.isfinite(value):
        return value
    raise TemplateRefusedError("the result of a calculation is no finite real number")


def to_text(value: Any) -> str:
    """Return the text of a string, number, boolean or null; refuse anything else."""
    match value:
        case str():
            return value
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case _:
            raise TemplateRefusedError("only strings, numbers, booleans and null have a text")
