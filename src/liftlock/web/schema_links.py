"""Links between the published schemas, written `liftlock:<service>/<name>#<place>`: which there are, and other forms of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from liftlock.web.validation import SCHEMAS

_OWN = "liftlock:"

Address = Callable[[str, str], str]
"""(name of a schema, or "" for the one that links; place within it such as `/properties/x`, or "") -> the link to write."""


def targets(schema: Any) -> Iterator[str]:
    """Yield the names of the schemas that `schema` links to."""
    match schema:
        case {"$ref": str(link), **rest}:
            if link.startswith(_OWN):
                yield link.removeprefix(_OWN).partition("#")[0]
            yield from targets(list(rest.values()))
        case dict():
            yield from targets(list(schema.values()))
        case list():
            for item in schema:
                yield from targets(item)


def closure(names: Iterable[str]) -> list[str]:
    """Return `names` and all that they link to, sorted."""
    waiting, found = list(names), set[str]()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += targets(SCHEMAS[name])
    return sorted(found)


def relinked(value: Any, address: Address) -> Any:
    """Return a schema with its links written by `address`; links to elsewhere stay."""
    match value:
        case list():
            return [relinked(item, address) for item in value]
        case dict():
            return {
                key: _link(item, address)
                if key == "$ref" and isinstance(item, str)
                else relinked(item, address)
                for key, item in value.items()
            }
    return value


def _link(link: str, address: Address) -> str:
    if link.startswith("#"):
        return address("", link[1:])
    if not link.startswith(_OWN):
        return link
    name, _, place = link.removeprefix(_OWN).partition("#")
    return address(name, place)
