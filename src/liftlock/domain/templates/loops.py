"""The operators that go over a list: $map, $reduce, $find, $sort, $reverse."""

from __future__ import annotations

import re
from typing import Any

from liftlock.domain.templates.closures import DELETE, Closure, Compiler, Names, only_properties, refuse
from liftlock.domain.templates.constructs import Construct
from liftlock.domain.templates.fuel import Meter

_EACH = re.compile(r"each\(([a-zA-Z_][a-zA-Z0-9_]*(?:,\s*[a-zA-Z_][a-zA-Z0-9_]*)*)\)\Z")
_BY = re.compile(r"by\(([a-zA-Z_][a-zA-Z0-9_]*)\)\Z")
_SYNTAX_IN_KEY = re.compile(r"\$\$|\$[a-zA-Z_][a-zA-Z0-9_]*\Z")


def _each(template: dict[str, Any], operator: str, path: str, *, least: int) -> tuple[str, list[str]]:
    """Return the property each(…) and its variables: `least` of them, or one more for the index."""
    keys = [key for key in template if key.startswith("each(")]
    match = _EACH.match(keys[0]) if len(keys) == 1 else None
    variables = [name.strip() for name in match[1].split(",")] if match else []
    if len(variables) not in (least, least + 1):
        names = ", ".join(("acc", "x")[2 - least :])
        raise refuse(path, f"{operator} expects exactly one property each({names}) or each({names}, index)")
    return keys[0], variables


def _list(value: Any, operator: str, path: str) -> list[Any]:
    if type(value) is not list:
        raise refuse(path, f"{operator} expects a list")
    return value


def _map(compiler: Compiler, template: dict[str, Any], path: str) -> Closure:
    key, variables = _each(template, "$map", path, least=1)
    only_properties(template, "$map", (key,), path)
    source = compiler.value(template["$map"], f"{path}.$map")
    body = compiler.value(template[key], f"{path}.{key}")

    def closure(names: Names, meter: Meter) -> Any:
        items = source(names, meter)
        meter.step(len(names) // 8)
        if type(items) is list:
            return _map_list(items, variables, body, names.copy(), meter)
        if type(items) is dict:
            merged = _map_object(items, variables, body, names.copy(), meter)
            if merged is None:
                raise refuse(path, f"$map over an object expects {key} to give objects")
            return merged
        raise refuse(path, "$map expects a list or an object")

    return closure


def _map_list(items: list[Any], variables: list[str], body: Closure, names: Names, meter: Meter) -> list[Any]:
    results = []
    for index, item in enumerate(items):
        meter.step(2)
        names[variables[0]] = item
        if len(variables) == 2:
            names[variables[1]] = index
        value = body(names, meter)
        if value is not DELETE:
            results.append(value)
    return results


def _map_object(
    items: dict[str, Any], variables: list[str], body: Closure, names: Names, meter: Meter
) -> dict[str, Any] | None:
    """Return the results merged, or None if one is no object."""
    results: dict[str, Any] = {}
    for name, item in items.items():
        meter.step(2)
        if len(variables) == 2:
            names[variables[0]], names[variables[1]] = item, name
        else:
            names[variables[0]] = {"key": name, "val": item}
        value = body(names, meter)
        if value is DELETE:
            continue
        if type(value) is not dict:
            return None
        meter.step(len(value))
        results.update(value)
    return results


def _reduce(compiler: Compiler, template: dict[str, Any], path: str) -> Closure:
    key, variables = _each(template, "$reduce", path, least=2)
    only_properties(template, "$reduce", (key, "initial"), path)
    if "initial" not in template:
        raise refuse(path, "$reduce expects `initial`")
    source = compiler.value(template["$reduce"], f"{path}.$reduce")
    body = compiler.value(template[key], f"{path}.{key}")
    initial = template["initial"]

    def closure(names: Names, meter: Meter) -> Any:
        items = _list(source(names, meter), "$reduce", path)
        meter.step(len(names) // 8)
        meter.value(initial)
        inner = names.copy()
        result = _copied(initial)  # not rendered: `initial` is data in every JSON-e
        for index, item in enumerate(items):
            meter.step(2)
            inner[variables[0]], inner[variables[1]] = result, item
            if len(variables) == 3:
                inner[variables[2]] = index
            value = body(inner, meter)
            if value is not DELETE:
                result = value
        return result

    return closure


def _copied(value: Any) -> Any:
    match value:
        case list():
            return [_copied(item) for item in value]
        case dict():
            return {key: _copied(item) for key, item in value.items()}
        case _:
            return value


def _find(compiler: Compiler, template: dict[str, Any], path: str) -> Closure:
    key, variables = _each(template, "$find", path, least=1)
    only_properties(template, "$find", (key,), path)
    source = compiler.value(template["$find"], f"{path}.$find")
    condition = compiler.expression(template[key], f"{path}.{key}")

    def closure(names: Names, meter: Meter) -> Any:
        items = _list(source(names, meter), "$find", path)
        meter.step(len(names) // 8)
        inner = names.copy()
        for index, item in enumerate(items):
            meter.step(2)
            inner[variables[0]] = item
            if len(variables) == 2:
                inner[variables[1]] = index
            if condition(inner, meter):
                return _found(item, meter, path)
        return DELETE

    return closure


def _found(item: Any, meter: Meter, path: str) -> Any:
    """Return `item`, unless rendering it once more, as other implementations do, would change it.

    They evaluate what stands in the element found, so that a payload could bring its own template.
    """
    meter.value(item)
    if _holds_syntax(item):
        raise refuse(path, "the element that $find found holds template syntax (`${`, `$$` or an operator)")
    return item


def _holds_syntax(value: Any) -> bool:
    match value:
        case str():
            return "${" in value
        case list():
            return any(map(_holds_syntax, value))
        case dict():
            return any(
                "${" in key or _SYNTAX_IN_KEY.match(key) is not None or _holds_syntax(item)
                for key, item in value.items()
            )
        case _:
            return False


def _sort(compiler: Compiler, template: dict[str, Any], path: str) -> Closure:
    keys = [key for key in template if key.startswith("by(")]
    match = _BY.match(keys[0]) if len(keys) == 1 else None
    if keys and match is None:
        raise refuse(path, "$sort expects at most one property by(x)")
    only_properties(template, "$sort", keys, path)
    source = compiler.value(template["$sort"], f"{path}.$sort")
    by = compiler.expression(template[keys[0]], f"{path}.{keys[0]}") if match else None
    variable = match[1] if match else ""

    def closure(names: Names, meter: Meter) -> list[Any]:
        items = _list(source(names, meter), "$sort", path)
        if by is None:
            ranks = items
        else:
            inner = names.copy()
            meter.step(len(names) // 8 + 2 * len(items))
            ranks = []
            for item in items:
                inner[variable] = item
                ranks.append(by(inner, meter))
        _check_ranks(ranks, meter, path)
        return [items[index] for index in sorted(range(len(items)), key=ranks.__getitem__)]

    return closure


def _check_ranks(ranks: list[Any], meter: Meter, path: str) -> None:
    """Refuse ranks of several types, and charge for sorting them."""
    meter.step(len(ranks) * len(ranks).bit_length())
    kind = type(ranks[0]) if ranks else str
    if kind not in (str, int, float) or not all(isinstance(rank, kind) for rank in ranks):
        raise refuse(path, "$sort expects all numbers of one kind, or all strings, to sort by")
    if kind is str:
        meter.step(sum(map(len, ranks)) // 16)


def _reverse(compiler: Compiler, template: dict[str, Any], path: str) -> Closure:
    only_properties(template, "$reverse", (), path)
    source = compiler.value(template["$reverse"], f"{path}.$reverse")

    def closure(names: Names, meter: Meter) -> list[Any]:
        items = _list(source(names, meter), "$reverse", path)
        meter.step(len(items) + 1)
        return items[::-1]

    return closure


LOOPS: dict[str, Construct] = {
    "$map": _map,
    "$reduce": _reduce,
    "$find": _find,
    "$sort": _sort,
    "$reverse": _reverse,
}
