"""Compiles templates: literals, lists, objects, interpolated strings, and operators by name."""

from __future__ import annotations

import re
from typing import Any

from liftlock.domain.templates.closures import DELETE, Closure, Names, at, refuse
from liftlock.domain.templates.constructs import CONSTRUCTS
from liftlock.domain.templates.expressions import compile_node
from liftlock.domain.templates.fuel import MAX_VALUE_DEPTH, Meter
from liftlock.domain.templates.grammar import parse_expression, parse_interpolation
from liftlock.domain.templates.loops import LOOPS
from liftlock.domain.templates.merging import MERGES
from liftlock.domain.templates.scalars import to_text
from liftlock.errors import TemplateRefusedError

MAX_TEMPLATE_NODES = 50_000
MAX_TEMPLATE_CHARS = 2 << 20
MAX_TEMPLATE_DEPTH = MAX_VALUE_DEPTH
_MAX_PATH = 400

OPERATORS = {**CONSTRUCTS, **LOOPS, **MERGES}
RESERVED_KEY = re.compile(r"\$[a-zA-Z_][a-zA-Z0-9_]*\Z")
_PLAIN_KEY = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
_START = re.compile(r"\$?\$\{")


class TemplateCompiler:
    """Compiles one template, counting its parts against the limits above."""

    def __init__(self) -> None:
        self._nodes = 0
        self._chars = 0
        self._depth = 0

    def value(self, template: Any, path: str) -> Closure:
        """Compile any part; see `closures.Compiler`."""
        closure, chars = self._part(template, path)
        if not chars:
            return closure

        def charged(names: Names, meter: Meter) -> Any:
            meter.text(chars)
            return closure(names, meter)

        return charged

    def expression(self, source: Any, path: str) -> Closure:
        """Compile an expression; see `closures.Compiler`."""
        if type(source) is not str:
            raise refuse(path, f"expected an expression (a string), got {type(source).__name__}")
        self._count(path, len(source))
        try:
            closure = compile_node(parse_expression(source))
        except TemplateRefusedError as error:
            raise at(path, error) from error
        return _located(closure, path)

    def _count(self, path: str, chars: int) -> None:
        self._nodes += 1
        self._chars += chars
        if self._nodes > MAX_TEMPLATE_NODES or self._chars > MAX_TEMPLATE_CHARS:
            raise refuse(
                path, f"a template may have {MAX_TEMPLATE_NODES} parts and {MAX_TEMPLATE_CHARS} characters"
            )
        if self._depth > MAX_TEMPLATE_DEPTH:
            raise refuse(path, f"a template may be nested {MAX_TEMPLATE_DEPTH} deep")

    def _part(self, template: Any, path: str) -> tuple[Closure, int]:
        """Return the closure of `template` and the characters to charge for it whenever it is rendered."""
        kind = type(template)
        if len(path) > _MAX_PATH:  # every closure keeps its path: long keys must not add up
            path = f"{path[: _MAX_PATH // 4]}…{path[-_MAX_PATH // 2 :]}"
        self._count(path, len(template) if kind is str else 0)
        if kind is str:
            if "${" in template:
                return self._interpolation(template, path), 0
            return (lambda _names, _meter: template), len(template)
        if kind not in (dict, list):
            if kind not in (bool, int, float, type(None)):
                raise refuse(path, f"a template is made of JSON values, not of {kind.__name__}")
            return (lambda _names, _meter: template), 0
        self._depth += 1
        closure = self._list(template, path) if kind is list else self._object(template, path)
        self._depth -= 1
        return closure, 0

    def _list(self, template: list[Any], path: str) -> Closure:
        parts = [self._part(item, f"{path}[{index}]") for index, item in enumerate(template)]
        closures = [closure for closure, _ in parts]
        steps, chars = len(parts) + 1, sum(cost for _, cost in parts)

        def closure(names: Names, meter: Meter) -> list[Any]:
            meter.step(steps)
            meter.text(chars)
            rendered = [part(names, meter) for part in closures]
            return [value for value in rendered if value is not DELETE] if DELETE in rendered else rendered

        return closure

    def _object(self, template: dict[str, Any], path: str) -> Closure:
        found = [key for key in template if key in OPERATORS]
        if len(found) > 1:
            raise refuse(path, f"only one operator is allowed here, found {', '.join(found)}")
        if found:
            return OPERATORS[found[0]](self, template, path)
        fixed: list[tuple[str, Closure]] = []
        computed: list[tuple[str, Closure, Closure | None]] = []
        chars = 0
        for key, item in template.items():
            here = f"{path}.{key[:80]}" if _PLAIN_KEY.match(key) else f"{path}[{key[:80]!r}]"
            name, rendered_key = self._key(key, here)
            closure, cost = self._part(item, here)
            chars += cost + len(name)
            fixed.append((name, closure))
            computed.append((name, closure, rendered_key))
        if any(rendered_key for _, _, rendered_key in computed):
            return _object_of_computed_keys(computed, chars)
        return _object_of_fixed_keys(fixed, chars)

    def _key(self, key: str, path: str) -> tuple[str, Closure | None]:
        """Return the key as it will be, and how to render it if that depends on the context."""
        self._count(path, len(key))
        if key.startswith("$$"):
            return key[1:], None
        if RESERVED_KEY.match(key):
            raise refuse(path, f"{key[:80]!r} is no operator; a literal key is written ${key[:80]}")
        return key, self._interpolation(key, path) if "${" in key else None

    def _interpolation(self, text: str, path: str) -> Closure:
        parts: list[str | Closure] = []
        offset = 0
        while match := _START.search(text, offset):
            parts.append(text[offset : match.start()])
            offset = match.end()
            if match.group() == "$${":
                parts.append("${")
                continue
            self._count(path, 0)
            try:
                node, offset = parse_interpolation(text, offset)
                parts.append(compile_node(node))
            except TemplateRefusedError as error:
                raise at(path, error) from error
        parts.append(text[offset:])
        return _located(_joined([part for part in parts if part != ""]), path)


def _located(closure: Closure, path: str) -> Closure:
    """Return `closure` with its errors saying where they happened."""

    def located(names: Names, meter: Meter) -> Any:
        try:
            return closure(names, meter)
        except TemplateRefusedError as error:
            raise at(path, error) from error

    return located


def _joined(parts: list[str | Closure]) -> Closure:
    def closure(names: Names, meter: Meter) -> str:
        meter.step(len(parts))
        texts: list[str] = []
        for part in parts:
            if isinstance(part, str):
                texts.append(part)
                continue
            value = part(names, meter)
            if type(value) is str:
                texts.append(value)
            elif value is not None:
                texts.append(to_text(value))
        meter.text(sum(map(len, texts)))
        return "".join(texts)

    return closure


def _object_of_fixed_keys(parts: list[tuple[str, Closure]], chars: int) -> Closure:
    steps = len(parts) + 1

    def closure(names: Names, meter: Meter) -> dict[str, Any]:
        meter.step(steps)
        meter.text(chars)
        rendered = {}
        for key, part in parts:
            value = part(names, meter)
            if value is not DELETE:
                rendered[key] = value
        return rendered

    return closure


def _object_of_computed_keys(parts: list[tuple[str, Closure, Closure | None]], chars: int) -> Closure:
    steps = len(parts) + 1

    def closure(names: Names, meter: Meter) -> dict[str, Any]:
        meter.step(steps)
        meter.text(chars)
        rendered = {}
        for name, part, rendered_key in parts:
            key = name if rendered_key is None else rendered_key(names, meter)
            value = part(names, meter)
            if value is not DELETE:
                rendered[key] = value
        return rendered

    return closure
