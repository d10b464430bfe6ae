"""What describes the API to programs: references of the services, schemas of the bodies, and an OpenAPI document.

All of it is made from the routes that answer and the schemas that validate, so that it can't say anything else.

Source: docs/reference/compatibility.md
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from liftlock.domain.configuration import kinds as configuration
from liftlock.values.json import encode
from liftlock.web import openapi
from liftlock.web.openapi import bodies
from liftlock.web.routing import Route
from liftlock.web.schema_links import closure, relinked
from liftlock.web.validation import SCHEMAS

COMMON = "common"
"""The folder of the schemas that no body has but documents do."""
API_VERSION = "v1"
CONFIGURATION = "configuration"
"""The folder of the schemas of configuration files, beside those of that service."""
_DRAFT = "http://json-schema.org/draft-07/schema#"
_ARGUMENT = re.compile(r"<([^<>*]+)\*?>")


def documents(routes: Iterable[Route], root_url: str) -> dict[str, bytes]:
    """Return path -> JSON of everything that is published, with addresses below `root_url` (no slash at its end)."""
    known = list(routes)
    made: dict[str, Any] = {"/openapi.json": openapi.document(known, root_url)}
    references = {}
    for service, group in groupby(sorted(known, key=lambda route: route.service), lambda r: r.service):
        own = list(group)
        references[f"/references/{service}/{API_VERSION}/api.json"] = reference(service, own, root_url)
        for name in closure(bodies(own)):
            path = f"/schemas/{service}/{API_VERSION}/{name.partition('/')[2]}.json"
            if made.setdefault(path, (document := published(name, path, root_url))) != document:
                raise AssertionError(f"two schemas would be published as {path}")
    for name in SCHEMAS:
        if name.startswith(f"{COMMON}/"):
            made[_common(name)] = published(name, _common(name), root_url)
    for kind in configuration.FILE_KINDS:
        path = f"/schemas/{CONFIGURATION}/{API_VERSION}/{kind}.json"
        made[path] = configuration.schema(kind) | {"$id": f"{root_url}{path}#"}
    manifest = {"references": [root_url + path for path in references]}
    made["/references/manifest.json"] = {"$schema": _kind("manifest-v3", root_url), **manifest}
    return {path: encode(document) for path, document in (made | references).items()}


def reference(service: str, routes: Iterable[Route], root_url: str) -> dict[str, Any]:
    """Return the reference document of a service, an entry for each of its routes, in their order."""
    return {
        "$schema": _kind("api-reference-v0", root_url),
        "apiVersion": API_VERSION,
        "serviceName": service,
        "title": f"The {service} service",
        "description": f"The methods below /api/{service}/{API_VERSION} as this server answers them.",
        "entries": [entry(route) for route in routes],
    }


def entry(route: Route) -> dict[str, Any]:
    """Return the entry of one route."""
    found: dict[str, Any] = {
        "type": "function",
        "method": route.method.lower(),
        "route": _ARGUMENT.sub(r"<\1>", route.path),
        "args": arguments(route),
        "query": list(route.query),
        "name": route.name,
        "stability": route.stability,
        "title": route.title,
        "description": route.description or f"{route.title}.",
    }
    if route.scopes is not None:
        found["scopes"] = expression(route.scopes)
    for side, name in (("input", route.input), ("output", route.output)):
        if name is not None:
            found[side] = f"{API_VERSION}/{name.partition('/')[2]}.json#"
    return found


def arguments(route: Route) -> list[str]:
    """Return the names of the parameters in a route's path, in their order."""
    return _ARGUMENT.findall(route.path)


def expression(scopes: object) -> Any:
    """Return a route's scopes in the form of references: what is repeated is one scope, and stands in a list."""
    made = _expression(scopes)
    return {"AllOf": [made]} if isinstance(made, dict) and "for" in made else made


def _expression(scopes: object) -> Any:
    match scopes:
        case {"for": name, "in": many, "each": {"AllOf": [*parts]}}:
            return {"AllOf": [_expression({"for": name, "in": many, "each": part}) for part in parts]}
        case {"AllOf": [*parts]}:
            return {"AllOf": [_expression(part) for part in parts]}
        case {"AnyOf": [*parts]}:
            return {"AnyOf": [_expression(part) for part in parts]}
        case list() | tuple():
            return {"AllOf": [_expression(part) for part in scopes]}
        case _:
            return scopes


def published(name: str, path: str, root_url: str) -> dict[str, Any]:
    """Return the schema called `name` as it stands at `path`: with its address, and links as addresses."""
    schema, folder = SCHEMAS[name], path.rpartition("/")[0]

    def address(other: str, place: str) -> str:
        return f"{root_url}{folder}/{other.partition('/')[2]}.json#{place}" if other else f"#{place}"

    kind = "metadata-metaschema" if "metadata" in schema else "metaschema"
    head = {
        "$schema": _DRAFT if name.startswith(f"{COMMON}/meta") else _kind(kind, root_url),
        "$id": f"{root_url}{path}#",
    }
    return head | {key: value for key, value in relinked(schema, address).items() if key != "$schema"}


def _kind(name: str, root_url: str) -> str:
    return f"{root_url}{_common(f'{COMMON}/{name}')}#"


def _common(name: str) -> str:
    return f"/schemas/{name}.json"
