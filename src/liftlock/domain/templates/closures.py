"""What templates compile to, and what the compilers of operators share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol, TypeAlias

from liftlock.domain.templates.fuel import Meter
from liftlock.errors import TemplateRefusedError

Names: TypeAlias = dict[str, Any]
"""The variables in scope; builtin functions are looked up behind them."""
Closure: TypeAlias = Callable[[Names, Meter], Any]
"""Renders one part of a template: a JSON value, `DELETE`, or a Function on its way to a call."""


class _Delete:
    """The type of DELETE."""

    def __repr__(self) -> str:
        return "DELETE"


DELETE: Final = _Delete()
"""What an `$if` without the branch taken renders to: the element or property around it is left out."""


class Compiler(Protocol):
    """Compiles parts of a template; `path` is where the part stands, for messages: `.tasks[0].$if`."""

    def value(self, template: Any, path: str) -> Closure:
        """Compile any part."""
        ...

    def expression(self, source: Any, path: str) -> Closure:
        """Compile an expression; refuse what is not a string."""
        ...


def at(path: str, error: TemplateRefusedError) -> TemplateRefusedError:
    """Return `error` with the place it happened at; one that names a place already is returned unchanged."""
    if "path" in error.details:
        return error
    return TemplateRefusedError(f"template{path or ' (top)'}: {error.message}", path=path)


def refuse(path: str, message: str) -> TemplateRefusedError:
    """Return the error that says `message` about the template at `path`."""
    return at(path, TemplateRefusedError(message))


def only_properties(template: dict[str, Any], operator: str, allowed: Iterable[str], path: str) -> None:
    """Refuse properties beside `operator` that are not `allowed`."""
    unknown = sorted(set(template) - {operator, *allowed})
    if unknown:
        raise refuse(path, f"{operator} does not know the properties {', '.join(map(repr, unknown))[:200]}")
