"""Which handler answers a request: a tree of path segments for each service and method.

Paths are matched as they were sent: a percent-encoded slash stays within its segment. `<name>` takes one segment,
`<name*>` the rest or, before further literals, as much as fits; both arrive decoded.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from urllib.parse import unquote

import msgspec

from liftlock.services.authorize import Caller, HttpFacts

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What a handler answers when a plain value does not say enough.

    `body` is bytes, an iterator of bytes (streamed), or a value that becomes JSON; None is an empty body.
    """

    status: int = 200
    body: object = None
    headers: Mapping[str, str] = {}


class ApiRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One authenticated request: path parameters and query decoded, the payload decoded and valid by its schema."""

    params: Mapping[str, str]
    query: Mapping[str, str]
    payload: Any
    caller: Caller
    now: datetime
    headers: Mapping[str, str]
    target: str
    """The raw path and query, as signed."""
    facts: HttpFacts
    """What authentication was decided on."""
    root_url: str
    """The address under which the caller reached this server, without a slash at its end."""
    receive: Callable[[], AsyncIterator[bytes]]
    gone: Callable[[], Awaitable[None]]
    """Returns when the caller has closed the connection."""

    def stream(self) -> AsyncIterator[bytes]:
        """Return the body's chunks, for routes with a raw body; to be called once."""
        return self.receive()


Handler = Callable[[ApiRequest], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of a service, with all that clients and documentation need to know of it."""

    service: str
    method: Method
    path: str
    name: str
    handler: Handler
    title: str
    description: str = ""
    input: str | None = None
    """Schema of the body, as `<service>/<name>` under `web/schemas`."""
    output: str | None = None
    scopes: object = None
    """Documentation of what is needed, as a scope expression."""
    query: tuple[str, ...] = ()
    public_body: Literal["json", "raw"] = "json"
    stability: Literal["stable", "experimental", "deprecated"] = "stable"
    """What clients may rely on, as the field says it of the method of that name."""
    authenticated: bool = True
    """False: credentials are not looked at and the caller is anonymous; for routes that need nothing or check for themselves."""


class _Node:
    __slots__ = ("literals", "parameter", "rest", "route")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.parameter: tuple[str, _Node] | None = None
        self.rest: tuple[str, _Node] | None = None
        self.route: Route | None = None

    def child(self, segment: str) -> _Node:
        """Return the node below for a segment of a route's path, made if absent."""
        if not (segment.startswith("<") and segment.endswith(">")):
            return self.literals.setdefault(segment, _Node())
        name = segment[1:-1]
        kind = "rest" if name.endswith("*") else "parameter"
        found: tuple[str, _Node] | None = getattr(self, kind)
        if found is None:
            found = (name.rstrip("*"), _Node())
            setattr(self, kind, found)
        if found[0] != name.rstrip("*"):
            raise AssertionError(f"routes disagree on a parameter's name: {found[0]} and {name}")
        return found[1]

    def find(self, segments: list[str], at: int, params: dict[str, str]) -> Route | None:
        """Return the route that `segments[at:]` lead to, filling `params`; literals win over parameters."""
        if at == len(segments):
            return self.route
        literal = self.literals.get(segments[at])
        if literal is not None and (route := literal.find(segments, at + 1, params)) is not None:
            return route
        if self.parameter is not None and segments[at]:
            name, node = self.parameter
            if (route := node.find(segments, at + 1, params)) is not None:
                params[name] = unquote(segments[at])
                return route
        if self.rest is not None and segments[at]:
            name, node = self.rest
            # A route that names what follows the rest wins over one that takes all of it.
            for end in (*range(len(segments) - 1, at, -1), len(segments)):
                if (route := node.find(segments, end, params)) is not None:
                    params[name] = unquote("/".join(segments[at:end]))
                    return route
        return None


class RouteTable:
    """All routes of the API, found by service, method and raw path."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._trees: dict[tuple[str, str], _Node] = {}
        for route in self.routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        node = self._trees.setdefault((route.service, route.method), _Node())
        for segment in route.path.strip("/").split("/"):
            node = node.child(segment)
        if node.route is not None:
            raise AssertionError(
                f"two routes answer {route.method} {route.path}: {node.route.name}, {route.name}"
            )
        node.route = route

    def match(self, service: str, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """Return the route and its decoded parameters for the raw `path` below `/api/<service>/v1`, or None."""
        tree = self._trees.get((service, "GET" if method == "HEAD" else method))
        if tree is None:
            return None
        params: dict[str, str] = {}
        segments = path.removeprefix("/").split("/")
        route = tree.find(segments, 0, params)
        if route is None and segments[-1] == "":
            params.clear()
            route = tree.find(segments[:-1], 0, params)
        return None if route is None else (route, params)

    def methods(self, service: str, path: str) -> list[str]:
        """Return the methods that answer at `path`, sorted: to tell a wrong method from a wrong path."""
        known = sorted(method for name, method in self._trees if name == service)
        return [method for method in known if self.match(service, method, path) is not None]
