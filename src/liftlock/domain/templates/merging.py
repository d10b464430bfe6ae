"""The operators that join values: $flatten, $flattenDeep, $merge, $mergeDeep."""

from __future__ import annotations

from typing import Any

from liftlock.domain.templates.closures import Closure, Compiler, Names, only_properties, refuse
from liftlock.domain.templates.constructs import Construct
from liftlock.domain.templates.fuel import Meter


def _source(compiler: Compiler, template: dict[str, Any], operator: str, path: str) -> Closure:
    only_properties(template, operator, (), path)
    return compiler.value(template[operator], f"{path}.{operator}")


def _flatten(compiler: Compiler, template: dict[str, Any], path: str) -> Closure:
    return _flattening(_source(compiler, template, "$flatten", path), "$flatten", path, levels=1)


def _flatten_deep(compiler: Compiler, template: dict[str, Any], path: str) -> Closure:
    # No value is nested deeper than the meter allows, so that many levels are all there are.
    return _flattening(_source(compiler, template, "$flattenDeep", path), "$flattenDeep", path, levels=1_000)


def _flattening(source: Closure, operator: str, path: str, *, levels: int) -> Closure:
    def flatten(items: list[Any], into: list[Any], left: int, meter: Meter) -> list[Any]:
        meter.step(len(items) + 1)
        for item in items:
            if type(item) is list and left:
                flatten(item, into, left - 1, meter)
            else:
                into.append(item)
        return into

    def closure(names: Names, meter: Meter) -> list[Any]:
        items = source(names, meter)
        if type(items) is not list:
            raise refuse(path, f"{operator} expects a list")
        return flatten(items, [], levels, meter)

    return closure


def _objects(value: Any, operator: str, path: str) -> list[dict[str, Any]]:
    if type(value) is not list or not all(type(item) is dict for item in value):
        raise refuse(path, f"{operator} expects a list of objects")
    return value


def _merge(compiler: Compiler, template: dict[str, Any], path: str) -> Closure:
    source = _source(compiler, template, "$merge", path)

    def closure(names: Names, meter: Meter) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for item in _objects(source(names, meter), "$merge", path):
            meter.step(len(item) + 1)
            merged.update(item)
        return merged

    return closure


def _merge_deep(compiler: Compiler, template: dict[str, Any], path: str) -> Closure:
    source = _source(compiler, template, "$mergeDeep", path)

    def closure(names: Names, meter: Meter) -> Any:
        merged: Any = {}
        for item in _objects(source(names, meter), "$mergeDeep", path):
            merged = _merged(merged, item, meter)
        return merged

    return closure


def _merged(left: Any, right: Any, meter: Meter) -> Any:
    """Return `right` over `left`: lists are joined, objects merged, anything else replaced."""
    if type(left) is list and type(right) is list:
        meter.step(len(left) + len(right))
        return left + right
    if type(left) is dict and type(right) is dict:
        meter.step(len(left) + len(right))
        merged = left.copy()
        for key, value in right.items():
            merged[key] = _merged(left[key], value, meter) if key in left else value
        return merged
    return right


MERGES: dict[str, Construct] = {
    "$flatten": _flatten,
    "$flattenDeep": _flatten_deep,
    "$merge": _merge,
    "$mergeDeep": _merge_deep,
}
