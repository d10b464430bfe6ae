"""The infix operators of expressions on evaluated operands, each bounded."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from liftlock.domain.templates.fuel import MAX_INTEGER_BITS, Meter
from liftlock.domain.templates.scalars import bounded, is_number
from liftlock.errors import TemplateRefusedError

_CHARS_A_STEP = 64
"""Comparing or searching this many characters costs about as much as a step."""


def _numbers(symbol: str, left: Any, right: Any) -> None:
    if not is_number(left) or not is_number(right):
        raise TemplateRefusedError(f"{symbol} expects numbers on both sides")


def add(meter: Meter, left: Any, right: Any) -> Any:
    """Return the sum of numbers or the concatenation of strings."""
    if type(left) is str and type(right) is str:
        meter.text(len(left) + len(right))
        return left + right
    if not is_number(left) or not is_number(right):
        raise TemplateRefusedError("+ expects two numbers or two strings")
    return bounded(left + right)


def _subtract(_meter: Meter, left: Any, right: Any) -> Any:
    _numbers("-", left, right)
    return bounded(left - right)


def _multiply(_meter: Meter, left: Any, right: Any) -> Any:
    _numbers("*", left, right)
    return bounded(left * right)


def _divide(_meter: Meter, left: Any, right: Any) -> Any:
    _numbers("/", left, right)
    if right == 0:
        raise TemplateRefusedError("division by zero")
    return bounded(left / right)


def _power(_meter: Meter, left: Any, right: Any) -> Any:
    _numbers("**", left, right)
    integers = type(left) is int and type(right) is int
    # A lower bound of the result's size, so that nothing large is computed in order to be refused.
    if integers and right > 0 and (left.bit_length() - 1) * right > MAX_INTEGER_BITS:
        raise TemplateRefusedError(f"an integer grows over {MAX_INTEGER_BITS} bits")
    try:
        return bounded(left**right)
    except (ZeroDivisionError, OverflowError) as error:
        raise TemplateRefusedError(f"**: {error}") from error


def _ordering(symbol: str, compare: Callable[[Any, Any], bool]) -> Callable[[Meter, Any, Any], bool]:
    def call(meter: Meter, left: Any, right: Any) -> bool:
        if type(left) is not type(right) or type(left) not in (str, int, float):
            raise TemplateRefusedError(f"{symbol} expects two numbers of one kind or two strings")
        if type(left) is str:
            meter.step(len(left) // _CHARS_A_STEP)
        return compare(left, right)

    return call


def charge_comparison(meter: Meter, left: Any) -> None:
    """Charge what comparing `left` with something for equality may cost."""
    kind = type(left)
    if kind is str:
        meter.step(len(left) // _CHARS_A_STEP)
    elif kind is list or kind is dict:
        meter.value(left)


def _equal(meter: Meter, left: Any, right: Any) -> bool:
    charge_comparison(meter, left)
    return bool(left == right)


def _unequal(meter: Meter, left: Any, right: Any) -> bool:
    charge_comparison(meter, left)
    return bool(left != right)


def _contained(meter: Meter, left: Any, right: Any) -> bool:
    match right:
        case dict() if type(left) is str:
            return left in right
        case str() if type(left) is str:
            meter.step(len(right) // _CHARS_A_STEP)
            return left in right
        case list():
            meter.step(len(right))
            if type(left) is str:
                meter.step(len(right) * (len(left) // _CHARS_A_STEP))
            elif type(left) in (list, dict):
                meter.value(right)
            return left in right
        case _:
            raise TemplateRefusedError("in expects a list, or a string in an object or string")


OPERATORS: dict[str, Callable[[Meter, Any, Any], Any]] = {
    "+": add,
    "-": _subtract,
    "*": _multiply,
    "/": _divide,
    "**": _power,
    "==": _equal,
    "!=": _unequal,
    "<": _ordering("<", operator.lt),
    ">": _ordering(">", operator.gt),
    "<=": _ordering("<=", operator.le),
    ">=": _ordering(">=", operator.ge),
    "in": _contained,
}
