"""The API as an OpenAPI 3.1 document, made from the routes and their schemas.

Schemas keep their dialect (draft 7), which OpenAPI 3.1 allows when the document says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from liftlock import __version__
from liftlock.web.routing import Route
from liftlock.web.schema_links import closure, relinked
from liftlock.web.validation import SCHEMAS

_ARGUMENT = re.compile(r"<([^<>*]+)(\*?)>")
_HERE = "#/components/schemas/"
_ERROR = {
    "type": "object",
    "properties": {
        "code": {"type": "string", "description": "What went wrong, in one permanent word."},
        "message": {"type": "string"},
        "requestInfo": {"type": "object"},
        "details": {"type": "object"},
    },
    "required": ["code", "message", "requestInfo"],
}


def document(routes: Iterable[Route], root_url: str) -> dict[str, Any]:
    """Return the OpenAPI document of all `routes`, served at `root_url`."""
    known = list(routes)
    paths: dict[str, dict[str, Any]] = {}
    first: dict[str, str] = {}
    for route in known:
        # One path has one set of argument names here, whatever its methods call them.
        path = first.setdefault(_ARGUMENT.sub("<>", f"{route.service} {route.path}"), path_of(route))
        made = _operation(route, re.findall(r"{([^}]*)}", path))
        if paths.setdefault(path, {}).setdefault(route.method.lower(), made) is not made:
            raise AssertionError(f"{route.method} {path} stands twice")
    used = closure(bodies(known))
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "http://json-schema.org/draft-07/schema#",
        "info": {
            "title": "liftlock",
            "version": __version__,
            "description": "Requests are signed with Hawk. A path argument is percent-encoded whole.",
        },
        "servers": [{"url": root_url}],
        "paths": paths,
        "components": {
            "schemas": {"Error": _ERROR} | {_key(name): _schema(name) for name in used},
            "securitySchemes": {"hawk": {"type": "http", "scheme": "hawk"}},
        },
    }


def path_of(route: Route) -> str:
    """Return a route's path from the root, arguments in braces."""
    return f"/api/{route.service}/v1" + _ARGUMENT.sub(r"{\1}", route.path)


def bodies(routes: Iterable[Route]) -> list[str]:
    """Return the names of the schemas of the routes' bodies and answers."""
    return [name for route in routes for name in (route.input, route.output) if name is not None]


def _operation(route: Route, arguments: list[str]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": f"{route.service}.{route.name}",
        "tags": [route.service],
        "summary": route.title,
        "parameters": list(_parameters(route, arguments)),
        "responses": {**_answers(route), "default": _json("an error", "Error")},
        "security": [{"hawk": []}, {}] if route.authenticated else [{}],
    }
    if route.description:
        made["description"] = route.description
    if route.scopes is not None:
        made["x-scopes"] = route.scopes
    if route.stability == "deprecated":
        made["deprecated"] = True
    if route.input is not None:
        body = _json("", _key(route.input))["content"]
        made["requestBody"] = {"required": True, "content": body}
    elif route.public_body == "raw" and route.method in ("PUT", "POST"):
        made["requestBody"] = {"content": {"application/octet-stream": {}}}
    return made


def _parameters(route: Route, arguments: list[str]) -> Iterator[dict[str, Any]]:
    for name, (_, rest) in zip(arguments, _ARGUMENT.findall(route.path), strict=True):
        given = {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        yield {**given, "description": "May hold slashes."} if rest else given
    for name in route.query:
        yield {"name": name, "in": "query", "schema": {"type": "string"}}


def _answers(route: Route) -> dict[str, Any]:
    if route.output is None:
        return {"2XX": {"description": "done"}}
    return {"200": _json("done", _key(route.output))}


def _json(description: str, key: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/json": {"schema": {"$ref": _HERE + key}}},
    }


def _key(name: str) -> str:
    return name.replace("/", ".")


def _schema(name: str) -> Any:
    def address(other: str, place: str) -> str:
        return f"{_HERE}{_key(other or name)}{place}"

    return {key: value for key, value in relinked(SCHEMAS[name], address).items() if key != "$schema"}
