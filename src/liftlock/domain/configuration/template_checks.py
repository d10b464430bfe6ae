"""Hooks whose templates or trigger schemas would let a payload run commands, or carry more than it shows.

Over-approximations by name: whatever an expression mentions counts as used.

Source: docs/reference/configuration.md#checks
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from liftlock.domain.configuration.folder import Entry
from liftlock.domain.configuration.kinds import HookEntry
from liftlock.domain.configuration.reading import Problem
from liftlock.domain.configuration.whole import Whole

_SPLICE: Final = re.compile(r"(?<!\$)\$\{([^}]*)\}")
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PATH: Final = re.compile(r"payload((?:\.[A-Za-z_][A-Za-z0-9_]*)*)")
_SHELL_FLAG: Final = re.compile(r"-[a-z]*c\Z")
_PLAIN: Final = re.compile(r"[A-Za-z0-9._/-]*\Z", re.ASCII)
_COMMANDS: Final = {"command", "script", "run"}
_EACH: Final = re.compile(r"each\(([^)]*)\)\Z")
_CHOICES: Final = ("anyOf", "oneOf", "allOf")
MAX_DEPTH: Final = 30
"""Below that a schema refers to itself, and was looked at."""
_HARMLESS: Final = {"integer", "number", "boolean", "null"}


def no_spliced_shell(whole: Whole) -> Iterator[Problem]:
    """No string of a payload becomes a part of what a shell reads."""
    for hook in whole.folder.hooks.values():
        tainted = _tainted(hook.said.task)
        for where, expression in _shell_parts(hook.said.task, tainted, ""):
            if not _is_harmless(expression, hook.said.trigger_schema, tainted):
                yield Problem(
                    hook.place,
                    f"{hook.name}: task{where}: `{expression[:80]}` puts what the payload says into a command; expected"
                    " an environment variable, or an argument of its own",
                )


def bounded_payloads(whole: Whole) -> Iterator[Problem]:
    """Every string of a payload has an enum, a pattern or a length, but for free text that tasks get as JSON."""
    for hook in whole.folder.hooks.values():
        schema = hook.said.trigger_schema
        if schema is None:
            continue
        for path, why in _unbounded(schema, schema, "payload", 0):
            if path not in hook.said.free_text:
                yield Problem(hook.place, f"{hook.name}: trigger-schema: {path}: {why}")
            elif not _only_as_json(hook, path):
                yield Problem(
                    hook.place,
                    f"{hook.name}: {path} is free text, and the template uses it otherwise than by $json",
                )


def _tainted(template: Any) -> set[str]:
    """Return `payload` and every variable that is made of it, wherever in the template."""
    found = {"payload"}
    while True:
        more = {name for name, value in _bound(template) if _mentions(value, found)} - found
        if not more:
            return found
        found |= more


def _bound(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield (variable, what it is made of) of every $let and of every loop in the template."""
    if isinstance(value, list):
        for item in value:
            yield from _bound(item)
    if not isinstance(value, dict):
        return
    if isinstance(value.get("$let"), dict):
        yield from value["$let"].items()
    for key, item in value.items():
        each = _EACH.match(key)
        if each is not None:
            over = [value.get(name) for name in ("$map", "$reduce", "$find", "$filter")]
            for name in each[1].split(","):
                yield name.strip(), over
        yield from _bound(item)


def _mentions(value: Any, names: set[str]) -> bool:
    return any(names & set(_WORD.findall(expression)) for expression in _expressions(value))


def _expressions(value: Any) -> Iterator[str]:
    """Yield every expression in the template: of `$eval`, `$if` and the like, and between `${` and `}`."""
    if isinstance(value, str):
        yield from _SPLICE.findall(value)
    elif isinstance(value, list):
        for item in value:
            yield from _expressions(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _SPLICE.findall(key)
            if key.startswith("$") and isinstance(item, str):
                yield item
            yield from _expressions(item)


def _shell_parts(value: Any, tainted: set[str], where: str) -> Iterator[tuple[str, str]]:
    """Yield (place, expression) of what the payload says within commands that a shell reads."""
    if isinstance(value, dict):
        for key, item in value.items():
            at = f"{where}.{key}"
            if key in _COMMANDS:
                yield from _in_command(item, tainted, at)
            yield from _shell_parts(item, tainted, at)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _shell_parts(item, tainted, f"{where}[{number}]")


def _in_command(value: Any, tainted: set[str], where: str) -> Iterator[tuple[str, str]]:
    """Yield what is wrong in a command: as one text a shell reads all of it, as a list what follows a flag like -c.

    A command that is chosen as a whole by the payload is wrong in every form.
    """
    if isinstance(value, str):
        yield from ((where, each) for each in _SPLICE.findall(value) if tainted & set(_WORD.findall(each)))
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "$eval" and isinstance(item, str) and tainted & set(_WORD.findall(item)):
                yield where, item
            else:
                yield from _in_command(item, tainted, f"{where}.{key}")
    elif isinstance(value, list):
        shell = False
        for number, item in enumerate(value):
            at = f"{where}[{number}]"
            if isinstance(item, str) and not shell:
                shell = _SHELL_FLAG.match(item) is not None
            elif shell or isinstance(item, list):
                yield from _in_command(item, tainted, at)


def _is_harmless(expression: str, schema: dict[str, Any] | None, tainted: set[str]) -> bool:
    """Tell whether all that the expression takes of the payload is numbers, or words that the schema lists."""
    others = tainted - {"payload"}
    if others & set(_WORD.findall(expression)):
        return False
    paths = [match[1].split(".")[1:] for match in _PATH.finditer(expression)]
    return bool(paths) and all(_is_plain(_at(schema, path)) for path in paths)


def _at(schema: Any, path: list[str]) -> Any:
    for name in path:
        schema = schema.get("properties", {}).get(name) if isinstance(schema, dict) else None
    return schema


def _is_plain(schema: Any) -> bool:
    if not isinstance(schema, dict):
        return False
    listed = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if isinstance(listed, list):
        return all(not isinstance(each, str) or _PLAIN.match(each) for each in listed)
    kinds = schema.get("type")
    return kinds in _HARMLESS or (isinstance(kinds, list) and set(kinds) <= _HARMLESS)


def _unbounded(schema: Any, top: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    """Yield (path, why) of everything that a payload may make as long as it likes."""
    if schema is False or depth > MAX_DEPTH or _is_listed(schema):
        return
    if not isinstance(schema, dict):
        yield path, "anything is allowed: expected a type"
    elif "$ref" in schema:
        yield from _unbounded(_resolved(schema["$ref"], top), top, path, depth + 1)
    elif "type" not in schema and any(key in schema for key in _CHOICES):
        yield from _unbounded_choices(schema, top, path, depth)
    else:
        yield from _unbounded_kinds(schema, top, path, depth)


def _unbounded_choices(schema: dict[str, Any], top: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    parts = [part for key in _CHOICES for part in schema.get(key, ())]
    found = [list(_unbounded(part, top, path, depth + 1)) for part in parts]
    if "allOf" in schema and not all(found):
        return
    for each in found:
        yield from each


def _unbounded_kinds(schema: dict[str, Any], top: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    said = schema.get("type", ["string", "object", "array"])
    kinds = {said} if isinstance(said, str) else set(said)
    if "string" in kinds and not _is_bounded(schema):
        yield path, "a string without enum, maxLength, or a pattern from ^ to $"
    if "array" in kinds:
        yield from _unbounded(schema.get("items", True), top, f"{path}[]", depth + 1)
    if "object" in kinds:
        for name, below in schema.get("properties", {}).items():
            yield from _unbounded(below, top, f"{path}.{name}", depth + 1)
        yield from _unbounded(schema.get("additionalProperties", True), top, f"{path}.*", depth + 1)


def _is_listed(schema: Any) -> bool:
    return isinstance(schema, dict) and ("enum" in schema or "const" in schema)


def _is_bounded(schema: dict[str, Any]) -> bool:
    pattern = schema.get("pattern")
    return "maxLength" in schema or (
        isinstance(pattern, str) and pattern.startswith("^") and pattern.endswith("$")
    )


def _resolved(reference: Any, top: Any) -> Any:
    found = top
    for name in str(reference).removeprefix("#").strip("/").split("/"):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _only_as_json(hook: Entry[HookEntry], path: str) -> bool:
    """Tell whether the template uses the free text within `$json` only."""
    used = {
        match[0]
        for expression in _expressions(_without_json(hook.said.task))
        for match in _PATH.finditer(expression)
    }
    return not any(one == path or path.startswith(f"{one}.") or one.startswith(f"{path}.") for one in used)


def _without_json(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_json(item) for item in value]
    if isinstance(value, dict):
        return {key: None if key == "$json" else _without_json(item) for key, item in value.items()}
    return value
