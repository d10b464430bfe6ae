"""Retiring scopes over HTTP, as a part of the auth service.

Source: docs/reference/access.md#retiring-scopes
"""

from __future__ import annotations

from typing import Any

from liftlock.services.retiring import Retiring
from liftlock.values.ids import role_id as parse_role_id
from liftlock.values.instants import format_instant
from liftlock.web.routing import ApiRequest, Handler, Method, Route


def routes(retiring: Retiring) -> list[Route]:
    """Return the routes."""

    async def put(request: ApiRequest) -> object:
        role_id, scopes = parse_role_id(request.params["roleId"]), tuple(request.payload["scopes"])
        await retiring.put(request.caller, role_id, scopes, request.now)
        return {"roleId": role_id, "scopes": list(scopes)}

    async def remove(request: ApiRequest) -> object:
        await retiring.put(request.caller, parse_role_id(request.params["roleId"]), (), request.now)
        return None

    async def listed(request: ApiRequest) -> object:
        found = await retiring.marked(request.caller)
        return {"retiring": [{"roleId": role, "scopes": list(scopes)} for role, scopes in found.items()]}

    async def uses(request: ApiRequest) -> object:
        found = await retiring.uses(request.caller)
        return {
            "uses": [
                {
                    "clientId": one.client_id,
                    "scope": one.need,
                    "uses": one.uses,
                    "last": format_instant(one.last),
                }
                for one in found
            ]
        }

    def route(method: Method, path: str, name: str, handler: Handler, title: str, **more: Any) -> Route:
        return Route(
            service="auth", method=method, path=path, name=name, handler=handler, title=title, **more
        )

    change = "auth:update-role:<roleId>"
    return [
        route("GET", "/retiring", "listRetiring", listed, "List scopes of roles that are to be taken away", scopes="auth:list-roles"),
        route("PUT", "/retiring/<roleId>", "putRetiring", put, "Say which of a role's scopes are to be taken away",
              description="They satisfy still. A request that would be refused without them is told so, in x-liftlock-retiring.",
              input="auth/retiring-request", scopes=change),
        route("DELETE", "/retiring/<roleId>", "removeRetiring", remove, "Say that a role keeps its scopes", scopes=change),
        route("GET", "/retiring-uses", "listRetiringUses", uses, "List who still needs scopes that are to be taken away",
              scopes={"AllOf": ["auth:list-clients", "auth:list-roles"]}),
    ]  # fmt: skip
