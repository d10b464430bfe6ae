"""The operators that choose and bind: $eval, $if, $switch, $match, $let, $json, $fromNow."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, TypeAlias

from liftlock.domain.templates.closures import (
    DELETE,
    Closure,
    Compiler,
    Names,
    at,
    only_properties,
    refuse,
)
from liftlock.domain.templates.fuel import Meter
from liftlock.domain.templates.functions import Function
from liftlock.domain.templates.offsets import from_now
from liftlock.errors import TemplateRefusedError

Construct: TypeAlias = Callable[[Compiler, dict[str, Any], str], Closure]
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")


def _eval(compiler: Compiler, template: dict[str, Any], path: str) -> Closure:
    only_properties(template, "$eval", (), path)
    expression = compiler.expression(template["$eval"], f"{path}.$eval")

    def closure(names: Names, meter: Meter) -> Any:
        value = expression(names, meter)
        meter.value(value)
        return value

    return closure


def _if(compiler: Compiler, template: dict[str, Any], path: str) -> Closure:
    only_properties(template, "$if", ("then", "else"), path)
    condition = compiler.expression(template["$if"], f"{path}.$if")
    then = compiler.value(template["then"], f"{path}.then") if "then" in template else _nothing
    otherwise = compiler.value(template["else"], f"{path}.else") if "else" in template else _nothing
    return lambda names, meter: (then if condition(names, meter) else otherwise)(names, meter)


def _render_nothing(_names: Names, _meter: Meter) -> Any:
    return DELETE


_nothing: Closure = _render_nothing


def _cases(
    compiler: Compiler, template: dict[str, Any], operator: str, path: str
) -> tuple[list[tuple[Closure, Closure]], Closure]:
    """Return the conditions with their values, in the order to try them, and the value of `$default`."""
    only_properties(template, operator, (), path)
    cases = template[operator]
    if type(cases) is not dict:
        raise refuse(path, f"{operator} expects an object of conditions")
    default = _nothing
    compiled = []
    for condition in sorted(cases) if operator == "$match" else cases:
        here = f"{path}.{operator}[{condition[:80]!r}]"
        value = compiler.value(cases[condition], here)
        if condition == "$default" and operator == "$switch":
            default = value
        else:
            compiled.append((compiler.expression(condition, here), value))
    return compiled, default


def _switch(compiler: Compiler, template: dict[str, Any], path: str) -> Closure:
    cases, default = _cases(compiler, template, "$switch", path)

    def closure(names: Names, meter: Meter) -> Any:
        meter.step(len(cases))
        chosen = [value(names, meter) for condition, value in cases if condition(names, meter)]
        if len(chosen) > 1:
            raise refuse(path, "$switch has more than one true condition")
        return chosen[0] if chosen else default(names, meter)

    return closure


def _match(compiler: Compiler, template: dict[str, Any], path: str) -> Closure:
    cases, _ = _cases(compiler, template, "$match", path)

    def closure(names: Names, meter: Meter) -> list[Any]:
        meter.step(len(cases) + 1)
        chosen = [value(names, meter) for condition, value in cases if condition(names, meter)]
        if DELETE in chosen:
            raise refuse(
                path, "the value of a true condition of $match is nothing (an $if without that branch)"
            )
        return chosen

    return closure


def _let(compiler: Compiler, template: dict[str, Any], path: str) -> Closure:
    only_properties(template, "$let", ("in",), path)
    if type(template["$let"]) is not dict or "in" not in template:
        raise refuse(path, "$let expects an object of variables, and `in`")
    variables = compiler.value(template["$let"], f"{path}.$let")
    body = compiler.value(template["in"], f"{path}.in")

    def closure(names: Names, meter: Meter) -> Any:
        bound = variables(names, meter)
        if type(bound) is not dict:
            raise refuse(path, "$let expects an object of variables")
        wrong = [name for name in bound if not _NAME.match(name)]
        if wrong:
            raise refuse(path, f"$let: {wrong[0][:80]!r} is no name for a variable")
        meter.step(len(names) // 8)
        return body({**names, **bound}, meter)

    return closure


def _json(compiler: Compiler, template: dict[str, Any], path: str) -> Closure:
    only_properties(template, "$json", (), path)
    inner = compiler.value(template["$json"], f"{path}.$json")

    def closure(names: Names, meter: Meter) -> str:
        value = inner(names, meter)
        meter.value(value)
        if value is DELETE or holds_function(value):
            raise refuse(path, "$json expects a value, not nothing and no function")
        text = json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
        meter.text(len(text))
        return text

    return closure


def _from_now(compiler: Compiler, template: dict[str, Any], path: str) -> Closure:
    only_properties(template, "$fromNow", ("from",), path)
    offset = compiler.value(template["$fromNow"], f"{path}.$fromNow")
    start = compiler.value(template["from"], f"{path}.from") if "from" in template else None

    def closure(names: Names, meter: Meter) -> str:
        meter.step(8)
        try:
            reference = start(names, meter) if start else names["now"]
            return from_now(offset(names, meter), meter.now if reference is None else reference)
        except TemplateRefusedError as error:
            raise at(path, error) from error

    return closure


def holds_function(value: Any) -> bool:
    """Tell whether a function that was not called is left anywhere in `value`."""
    match value:
        case list():
            return any(map(holds_function, value))
        case dict():
            return any(map(holds_function, value.values()))
        case _:
            return type(value) is Function


CONSTRUCTS: dict[str, Construct] = {
    "$eval": _eval,
    "$if": _if,
    "$switch": _switch,
    "$match": _match,
    "$let": _let,
    "$json": _json,
    "$fromNow": _from_now,
}
