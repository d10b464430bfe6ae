"""Granted scopes that nobody used, over HTTP, as a part of the auth service.

Source: docs/reference/access.md#unused-scopes
"""

from __future__ import annotations

from liftlock.errors import RequestArgumentsError
from liftlock.services.scope_uses import FindUnused
from liftlock.values.instants import format_instant, parse_instant
from liftlock.web.routing import ApiRequest, Route


def routes(find: FindUnused) -> list[Route]:
    """Return the route."""

    async def unused(request: ApiRequest) -> object:
        if "since" not in request.query:
            raise RequestArgumentsError("since: expected a time like 2026-01-31T12:00:00.000Z")
        found = await find(request.caller, parse_instant(request.query["since"], what="since"), request.now)
        return {
            "since": format_instant(found.since),
            "recordedSince": None if found.began is None else format_instant(found.began),
            "holders": [{"holder": holder, "scopes": list(scopes)} for holder, scopes in found.holders],
        }

    return [
        Route(
            service="auth",
            method="GET",
            path="/unused-scopes",
            name="unusedScopes",
            handler=unused,
            title="List granted scopes that nobody used",
            description=(
                "By role and client, as they are now. Uses are written down since `recordedSince`: for a time before it the"
                " list says too much."
            ),
            query=("since",),
            scopes={"AllOf": ["auth:list-clients", "auth:list-roles"]},
            output="auth/unused-scopes-response",
        )
    ]
