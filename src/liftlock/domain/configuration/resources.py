"""Resources: what files become and what a server has, in one form, so that the two can be compared.

Source: docs/reference/configuration.md#resources
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal, get_args

import msgspec

from liftlock.domain.configuration.reading import Place
from liftlock.domain.scopes.satisfaction import in_order
from liftlock.values.json import digest

Kind = Literal["Role", "Client", "Hook", "Project", "WorkerPool", "ActionPolicy", "Secret", "Retiring"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
MARK: Final = "Made from configuration; do not edit. "
"""How the description of everything that is applied begins."""
GIVING: Final[frozenset[Kind]] = frozenset({"Role", "Client"})
"""Kinds whose content has `scopes`."""


class Key(msgspec.Struct, frozen=True, order=True):
    """Which resource: `Role=repo:example.org/app:branch:*`."""

    kind: Kind
    id: str

    def __str__(self) -> str:
        return f"{self.kind}={self.id}"


class Resource(msgspec.Struct, frozen=True):
    """A resource's content in the wire form of its service, without what the server adds. `place`: where a file says so."""

    key: Key
    content: dict[str, Any]
    place: Place | None = None

    @property
    def digest(self) -> str:
        """sha256 of the content."""
        return digest(self.content)

    @property
    def scopes(self) -> tuple[str, ...]:
        """What it gives; nothing if it is of another kind."""
        return tuple(self.content.get("scopes", ())) if self.key.kind in GIVING else ()


Resources = dict[Key, Resource]


def parse_key(text: str) -> Key | None:
    """Return the key that `<Kind>=<id>` names, or None if there is no such kind."""
    kind, equals, name = text.partition("=")
    return Key(kind, name) if equals and name and kind in KINDS else None


class Managed:
    """The patterns of what a folder manages: `<Kind>=<id>`, a final `*` for anything."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = tuple(patterns)
        self._exact = {pattern for pattern in self.patterns if not pattern.endswith("*")}
        self._starts = tuple(pattern[:-1] for pattern in self.patterns if pattern.endswith("*"))

    def __contains__(self, key: Key) -> bool:
        # What of a role is being retired belongs to whoever manages the role.
        text = f"Role={key.id}" if key.kind == "Retiring" else str(key)
        return text in self._exact or text.startswith(self._starts)

    def kinds(self) -> frozenset[Kind]:
        """Return the kinds of which something may be managed."""
        found: set[Kind] = {
            kind
            for kind in KINDS
            for pattern in self.patterns
            if pattern.startswith(f"{kind}=")
            or (pattern.endswith("*") and f"{kind}=".startswith(pattern[:-1]))
        }
        return frozenset(found | ({"Retiring"} if "Role" in found else set()))

    def of(self, resources: Mapping[Key, Resource]) -> Resources:
        """Return those of `resources` that are managed."""
        return {key: resource for key, resource in resources.items() if key in self}


def role(role_id: str, scopes: Iterable[str], description: str = "", place: Place | None = None) -> Resource:
    """Return the role with these scopes, in order."""
    content = {"description": MARK + description, "scopes": list(in_order(scopes))}
    return Resource(Key("Role", role_id), content, place)


def by_kind(resources: Mapping[Key, Resource], kind: Kind) -> Iterator[Resource]:
    """Yield the resources of `kind`, by id."""
    for key in sorted(resources):
        if key.kind == kind:
            yield resources[key]
