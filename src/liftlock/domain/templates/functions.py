"""The builtin functions of expressions. No other function exists: a context that holds one is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from liftlock.domain.templates.closures import Names
from liftlock.domain.templates.fuel import Meter
from liftlock.domain.templates.offsets import from_now
from liftlock.domain.templates.scalars import bounded, is_number, to_text
from liftlock.errors import TemplateRefusedError


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """A builtin: called with the names in scope, the meter and evaluated arguments."""

    name: str
    call: Callable[[Names, Meter, list[Any]], Any]


def _is_text(value: Any) -> bool:
    return type(value) is str


def _is_list(value: Any) -> bool:
    return type(value) is list


def _text_or_number(value: Any) -> bool:
    return type(value) is str or is_number(value)


def _is_scalar(value: Any) -> bool:
    return value is None or type(value) in (str, int, float, bool)


def _wrong(name: str) -> TemplateRefusedError:
    return TemplateRefusedError(f"wrong arguments for {name}(): see its number and types of arguments")


def _fixed(name: str, function: Callable[..., Any], *tests: Callable[[Any], bool]) -> Function:
    """Make a function of exactly as many arguments as `tests`, each of which must pass."""

    def call(_names: Names, meter: Meter, arguments: list[Any]) -> Any:
        if len(arguments) != len(tests) or not all(
            test(value) for test, value in zip(tests, arguments, strict=True)
        ):
            raise _wrong(name)
        return function(meter, *arguments)

    return Function(name, call)


def _extreme(name: str, choose: Callable[[list[Any]], Any]) -> Function:
    def call(_names: Names, _meter: Meter, arguments: list[Any]) -> Any:
        if not arguments or not all(map(is_number, arguments)):
            raise _wrong(name)
        return choose(arguments)

    return Function(name, call)


def _made(meter: Meter, text: str) -> str:
    meter.text(len(text))
    return text


def _sqrt(_meter: Meter, value: float) -> float:
    if value < 0:
        raise TemplateRefusedError("sqrt() of a negative number")
    return math.sqrt(value)


def _number(_names: Names, meter: Meter, arguments: list[Any]) -> float:
    if len(arguments) != 1 or type(arguments[0]) is not str:
        raise _wrong("number")
    meter.text(len(arguments[0]))
    try:
        value = float(arguments[0])
    except ValueError as error:
        raise TemplateRefusedError(f"number(): {arguments[0][:40]!r} is none") from error
    if not math.isfinite(value):
        raise TemplateRefusedError("number(): JSON has no infinity and no NaN")
    return value


def _range(_names: Names, meter: Meter, arguments: list[Any]) -> list[int]:
    if len(arguments) not in (2, 3) or not all(isinstance(value, int) for value in arguments):
        raise _wrong("range")
    if len(arguments) == 3 and arguments[2] == 0:
        raise TemplateRefusedError("range(): the step is 0")
    numbers = range(*arguments)
    meter.step(_length(numbers))
    return list(numbers)


def _length(numbers: range) -> int:
    """Return the length of `numbers`, which `len` cannot where it is over 2**63."""
    if not numbers:
        return 0
    return abs(numbers[-1] - numbers.start) // abs(numbers.step) + 1


def _split(meter: Meter, text: str, separator: str | float) -> list[str]:
    meter.text(len(text))
    parts = text.split(to_text(separator)) if separator else list(text)
    meter.step(len(parts))
    return parts


def _join(meter: Meter, items: list[Any], separator: str | float) -> str:
    meter.value(items)
    # Python's form of what is no string (True, None, [1]) is what this function has always given.
    texts = [str(item) for item in items]
    glue = str(separator)
    meter.text(sum(map(len, texts)) + len(glue) * len(texts))
    return glue.join(texts)


def _from_now(names: Names, meter: Meter, arguments: list[Any]) -> str:
    if len(arguments) not in (1, 2) or not all(map(_is_text, arguments)):
        raise _wrong("fromNow")
    reference = (arguments[1] if len(arguments) == 2 else "") or names["now"]
    return from_now(arguments[0], meter.now if reference is None else reference)


def _as_slugid(names: Names, _meter: Meter, arguments: list[Any]) -> str:
    """Return `ownTaskId`: templates of decision tasks call their one task's id by a label of their own choice."""
    if len(arguments) != 1 or type(arguments[0]) is not str:
        raise _wrong("as_slugid")
    own = names.get("ownTaskId")
    if type(own) is not str:
        raise TemplateRefusedError("as_slugid(): there is no ownTaskId here")
    return own


def _type_of(_meter: Meter, value: Any) -> str:
    return _TYPES[type(value)]


def _defined(names: Names, _meter: Meter, arguments: list[Any]) -> bool:
    if len(arguments) != 1 or type(arguments[0]) is not str:
        raise _wrong("defined")
    return arguments[0] in names or arguments[0] in FUNCTIONS


_TYPES = {
    bool: "boolean", str: "string", int: "number", float: "number", list: "array", dict: "object",
    type(None): "null", Function: "function",
}  # fmt: skip

FUNCTIONS: dict[str, Function] = {
    function.name: function
    for function in (
        _extreme("min", min),
        _extreme("max", max),
        _fixed("sqrt", _sqrt, is_number),
        _fixed("abs", lambda _meter, value: abs(value), is_number),
        _fixed("ceil", lambda _meter, value: bounded(math.ceil(value)), is_number),
        _fixed("floor", lambda _meter, value: bounded(math.floor(value)), is_number),
        Function("range", _range),
        _fixed("lowercase", lambda meter, text: _made(meter, text.lower()), _is_text),
        _fixed("uppercase", lambda meter, text: _made(meter, text.upper()), _is_text),
        _fixed("strip", lambda meter, text: _made(meter, text.strip()), _is_text),
        _fixed("lstrip", lambda meter, text: _made(meter, text.lstrip()), _is_text),
        _fixed("rstrip", lambda meter, text: _made(meter, text.rstrip()), _is_text),
        _fixed("len", lambda _meter, value: len(value), lambda value: _is_text(value) or _is_list(value)),
        _fixed("str", lambda meter, value: _made(meter, to_text(value)), _is_scalar),
        Function("number", _number),
        _fixed("split", _split, _is_text, _text_or_number),
        _fixed("join", _join, _is_list, _text_or_number),
        Function("fromNow", _from_now),
        _fixed("typeof", _type_of, lambda value: type(value) in _TYPES),
        Function("defined", _defined),
        Function("as_slugid", _as_slugid),
    )
}
