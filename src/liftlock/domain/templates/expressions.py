"""Compiles the tree of an expression to a closure."""

from __future__ import annotations

from typing import Any, assert_never

from liftlock.domain.templates.arithmetic import OPERATORS
from liftlock.domain.templates.closures import Closure, Names
from liftlock.domain.templates.fuel import Meter
from liftlock.domain.templates.functions import FUNCTIONS, Function
from liftlock.domain.templates.scalars import is_number
from liftlock.domain.templates.syntax import (
    Binary,
    Call,
    Index,
    ListOf,
    Literal,
    Name,
    Node,
    ObjectOf,
    Property,
    Slice,
    Unary,
)
from liftlock.errors import TemplateRefusedError

MAX_TREE_DEPTH = 150
"""Depth of an expression's tree; a chain of n operators of one precedence is n deep."""


def compile_node(node: Node, depth: int = 0) -> Closure:  # noqa: C901, PLR0911, PLR0912 one case for each kind of node
    """Return the closure that evaluates `node`; it raises TemplateRefusedError without a place."""
    if depth > MAX_TREE_DEPTH:
        raise TemplateRefusedError(f"an expression is nested or chained more than {MAX_TREE_DEPTH} deep")
    inner = depth + 1
    match node:
        case Literal(value):
            return lambda _names, _meter: value
        case Name(name):
            return _name(name)
        case Call(Name(name), arguments) if name in FUNCTIONS:
            return _call(_callee(name), [compile_node(item, inner) for item in arguments])
        case Unary(operator, operand):
            return _unary(operator, compile_node(operand, inner))
        case Binary(operator, left, right):
            return _binary(operator, compile_node(left, inner), compile_node(right, inner))
        case Property(value, name):
            return _property(compile_node(value, inner), name)
        case Index(value, key):
            return _index(compile_node(value, inner), compile_node(key, inner))
        case Slice(value, start, stop):
            return _slice(
                compile_node(value, inner),
                None if start is None else compile_node(start, inner),
                None if stop is None else compile_node(stop, inner),
            )
        case Call(function, arguments):
            return _call(compile_node(function, inner), [compile_node(item, inner) for item in arguments])
        case ListOf(items):
            return _list([compile_node(item, inner) for item in items])
        case ObjectOf(pairs):
            return _object([(key, compile_node(item, inner)) for key, item in pairs])
        case _:
            assert_never(node)


def _name(name: str) -> Closure:
    builtin = FUNCTIONS.get(name)

    def closure(names: Names, meter: Meter) -> Any:
        meter.step()
        if name in names:
            return names[name]
        if builtin is None:
            raise TemplateRefusedError(f"no variable is called {name[:80]}")
        meter.function_seen = True
        return builtin

    return closure


def _callee(name: str) -> Closure:
    """Return the lookup of a builtin that is called at once, so that it can't be left over in the result."""
    builtin = FUNCTIONS[name]
    return lambda names, _meter: names.get(name, builtin)


def _unary(operator: str, operand: Closure) -> Closure:
    if operator == "!":
        return lambda names, meter: not operand(names, meter)

    def sign(names: Names, meter: Meter) -> Any:
        value = operand(names, meter)
        if not is_number(value):
            raise TemplateRefusedError(f"unary {operator} expects a number")
        return -value if operator == "-" else value

    return sign


def _binary(operator: str, left: Closure, right: Closure) -> Closure:
    if operator == "||":
        return lambda names, meter: bool(left(names, meter) or right(names, meter))
    if operator == "&&":
        return lambda names, meter: bool(left(names, meter) and right(names, meter))
    function = OPERATORS[operator]

    def closure(names: Names, meter: Meter) -> Any:
        meter.step()
        return function(meter, left(names, meter), right(names, meter))

    return closure


def _property(value: Closure, name: str) -> Closure:
    def closure(names: Names, meter: Meter) -> Any:
        target = value(names, meter)
        if type(target) is not dict:
            raise TemplateRefusedError(f".{name[:80]} expects an object before it")
        if name not in target:
            raise TemplateRefusedError(f"the object has no property {name[:80]}")
        return target[name]

    return closure


def _index(value: Closure, key: Closure) -> Closure:
    def closure(names: Names, meter: Meter) -> Any:
        target = value(names, meter)
        where = key(names, meter)
        if type(target) is dict:
            if type(where) is not str:
                raise TemplateRefusedError("[…] of an object expects a string")
            return target.get(where)
        if type(target) is not list and type(target) is not str:
            raise TemplateRefusedError("[…] expects a list, an object or a string before it")
        if not isinstance(where, int):
            raise TemplateRefusedError("[…] of a list or string expects an integer")
        if not -len(target) <= where < len(target):
            raise TemplateRefusedError("the index is out of bounds")
        return target[where]

    return closure


def _slice(value: Closure, start: Closure | None, stop: Closure | None) -> Closure:
    def closure(names: Names, meter: Meter) -> Any:
        target = value(names, meter)
        first = 0 if start is None else start(names, meter)
        last = None if stop is None else stop(names, meter)
        if type(target) is not list and type(target) is not str:
            raise TemplateRefusedError("[…:…] expects a list or a string before it")
        if not isinstance(first, int | None) or not isinstance(last, int | None):
            raise TemplateRefusedError("[…:…] expects integers")
        part: list[Any] | str = target[first:last]
        if type(part) is str:
            meter.text(len(part))
        else:
            meter.step(len(part))
        return part

    return closure


def _call(function: Closure, arguments: list[Closure]) -> Closure:
    def closure(names: Names, meter: Meter) -> Any:
        meter.step(2)
        callee = function(names, meter)
        if type(callee) is not Function:
            raise TemplateRefusedError("what is called is no function")
        return callee.call(names, meter, [argument(names, meter) for argument in arguments])

    return closure


def _list(items: list[Closure]) -> Closure:
    def closure(names: Names, meter: Meter) -> list[Any]:
        meter.step(len(items) + 1)
        return [item(names, meter) for item in items]

    return closure


def _object(items: list[tuple[str, Closure]]) -> Closure:
    def closure(names: Names, meter: Meter) -> dict[str, Any]:
        meter.step(len(items) + 1)
        return {key: item(names, meter) for key, item in items}

    return closure
