"""JSON-e templates: compile once, render often, always within bounds.

Equal to the `json-e` package on what that accepts, but for these differences, all towards refusing:

- A mistake anywhere is found when the template is compiled, also in a branch that would not be taken.
- Properties that an operator does not know are refused always, not only if they are spelt unlike the known ones.
- An element that `$find` returns is not rendered a second time: one that holds template syntax is refused.
- Integers over 256 bits, infinities, NaN and complex numbers are refused; so is nonsense like `a[0 1]`.
- A rendering that needs more than its fuel is refused.
"""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import Any

from liftlock.domain.templates.closures import DELETE, Closure, at
from liftlock.domain.templates.compiler import TemplateCompiler
from liftlock.domain.templates.constructs import holds_function
from liftlock.domain.templates.fuel import DEFAULT_FUEL, MAX_INTEGER_BITS, MAX_VALUE_DEPTH, Fuel, Meter
from liftlock.domain.templates.offsets import from_now
from liftlock.errors import TemplateRefusedError

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")


class Template:
    """A compiled template; make it with `compile_template`. Immutable, and free to share between tasks."""

    __slots__ = ("_closure",)

    def __init__(self, closure: Closure) -> None:
        self._closure = closure

    def render(self, context: dict[str, Any], fuel: Fuel = DEFAULT_FUEL, *, now: datetime) -> Any:
        """Return the JSON value that the template renders to; None for nothing at all.

        Args:
            context: JSON values by variable name. The result may share parts of it: change neither in place.
            now: Aware UTC; the variable `now`, if `context` has none, and what `$fromNow` counts from.
        Raises:
            TemplateRefusedError: An expression failed or the fuel ran out; the message says where.
        """
        present = from_now("", now)
        meter = Meter(fuel, present)
        try:
            _check_context(context)
            value = self._closure({"now": present, **context}, meter)
            if meter.function_seen and holds_function(value):
                raise at("", TemplateRefusedError("a function that is not called is no JSON value"))
        except RecursionError as error:
            raise at("", TemplateRefusedError("rendering is nested too deeply")) from error
        except TemplateRefusedError as error:
            raise at("", error) from error
        return None if value is DELETE else value


def compile_template(template: Any) -> Template:
    """Return `template`, a JSON value, compiled.

    Raises:
        TemplateRefusedError: It is wrong or too large; the message names the place, like `.tasks[0].$if`.
    """
    try:
        return Template(TemplateCompiler().value(template, ""))
    except RecursionError as error:
        raise at("", TemplateRefusedError("the template is nested too deeply")) from error


def _check_context(context: dict[str, Any]) -> None:
    for name, value in context.items():
        if not _NAME.match(name):
            raise TemplateRefusedError(f"the context's {name[:80]!r} is no name for a variable")
        _check_json(value, name, 0)


def _check_json(value: Any, name: str, depth: int) -> None:
    """Refuse what is no JSON value: functions above all, but also infinities and giants."""
    if depth > MAX_VALUE_DEPTH:
        raise TemplateRefusedError(f"the context's {name} is nested more than {MAX_VALUE_DEPTH} deep")
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return
    if kind is dict:
        for key, item in value.items():
            _check_json(item, name, depth + 1)
            if type(key) is not str:
                raise TemplateRefusedError(f"the context's {name} has a key that is no string")
    elif kind is list:
        for item in value:
            _check_json(item, name, depth + 1)
    elif kind is int or kind is float:
        if value.bit_length() > MAX_INTEGER_BITS if kind is int else not math.isfinite(value):
            raise TemplateRefusedError(f"the context's {name} holds a number that is too large")
    else:
        raise TemplateRefusedError(f"the context's {name} holds what is no JSON: {kind.__name__}")
