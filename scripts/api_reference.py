"""Write docs/reference/http-api.md from the route tables; `--check` only compares and ends with 1.

Each `liftlock.web.api_*` module has `routes(...)`; a route says its path, what it needs and what it does. The handlers
are not called, so anything may stand for what they depend on.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import made_page

from liftlock import web
from liftlock.web.routing import Route

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "http-api.md"
HEAD = """\
# HTTP API

<!-- Made by scripts/api_reference.py from the program's own routes: change a route's texts, then run `make docs`. -->

Every path is below `/api/<service>/v1`. Requests are signed with Hawk ([access](access.md#authentication)); a body is JSON and is
validated against its schema. Errors have [one form](errors.md#on-the-wire). Path parameters are percent-encoded whole: a `/`
in one is `%2F`. Times are UTC with milliseconds. An answer without a body is 204. Lists come in pages: `limit` (at most
1000), and `continuationToken` until an answer has none.
"""


class Anything:
    """Stands for whatever a `routes` function is given."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self


def routes() -> list[Route]:
    """Return every route of the program, by service, in the order of its module."""
    found: list[Route] = []
    for module in pkgutil.iter_modules(web.__path__):
        if module.name.startswith("api_"):
            make = importlib.import_module(f"{web.__name__}.{module.name}").routes
            needed = [p for p in inspect.signature(make).parameters.values() if p.default is p.empty]
            positional = [Anything() for p in needed if p.kind is not p.KEYWORD_ONLY]
            named = {p.name: Anything() for p in needed if p.kind is p.KEYWORD_ONLY}
            found += make(*positional, **named)
    return sorted(found, key=lambda route: route.service)


def needs(scopes: object) -> str:  # noqa: PLR0911 -- one form of expression a line
    """Return a scope expression in words."""
    match scopes:
        case None:
            return "–"
        case str():
            return f"`{scopes}`"
        case {"AllOf": [*parts]}:
            return " and ".join(_grouped(part) for part in parts) or "–"
        case {"AnyOf": [{"for": each, "in": many, "each": wanted}]}:
            return f"{needs(wanted)} for any `{each}` of `{many}`"
        case {"AnyOf": [*parts]}:
            return " or ".join(_grouped(part) for part in parts)
        case {"for": each, "in": many, "each": wanted}:
            return f"{needs(wanted)} for each `{each}` of `{many}`"
        case {"if": condition, "then": then, **rest}:
            otherwise = f", else {needs(rest['else'])}" if "else" in rest else ""
            return f"if `{condition}`: {needs(then)}{otherwise}"
        case list() | tuple():
            return " and ".join(_grouped(part) for part in scopes)
        case _:
            return f"`{scopes}`"


def _grouped(scopes: object) -> str:
    text = needs(scopes)
    return f"({text})" if isinstance(scopes, dict) and len(text) > 60 else text


def page() -> str:
    """Return the whole page."""
    lines = [HEAD]
    for service, group in groupby(routes(), key=lambda route: route.service):
        lines += [
            f"## {service}",
            "",
            "| method | path | name | scopes | what it does |",
            "|---|---|---|---|---|",
        ]
        lines += list(_rows(group))
        lines.append("")
    return "\n".join(lines)


def _rows(group: Iterator[Route]) -> Iterator[str]:
    for route in group:
        cells = (route.method, f"`{route.path}`", f"`{route.name}`", needs(route.scopes), route.title)
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    sys.exit(made_page.run(sys.argv[1:], PAGE, page(), "the routes"))
