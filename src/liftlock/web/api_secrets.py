"""The secrets service over HTTP.

Source: docs/reference/secrets.md
"""

from __future__ import annotations

from typing import Any

from liftlock.services.secrets import Secrets
from liftlock.web.paging import QUERY, limit_of, texts_after, token
from liftlock.web.routing import ApiRequest, Route


class _Secrets:
    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    async def put(self, request: ApiRequest) -> object:
        await self._secrets.put(request.caller, request.params["name"], request.payload, request.now)
        return {}

    async def get(self, request: ApiRequest) -> object:
        return await self._secrets.get(request.caller, request.params["name"], request.now)

    async def remove(self, request: ApiRequest) -> object:
        await self._secrets.remove(request.caller, request.params["name"], request.now)
        return {}

    async def names(self, request: ApiRequest) -> object:
        limit = limit_of(request.query)
        [after] = texts_after(request.query, 1)
        page = await self._secrets.names(request.caller, after, limit, request.now)
        answer: dict[str, Any] = {"secrets": page}
        return {**answer, "continuationToken": token(page[-1])} if len(page) == limit else answer


def routes(secrets: Secrets) -> list[Route]:
    """Return the routes of the secrets service."""
    found = _Secrets(secrets)
    return [
        Route(service="secrets", method="PUT", path="/secret/<name*>", name="set", handler=found.put,
              title="Set Secret", input="secrets/secret", scopes="secrets:set:<name>"),
        Route(service="secrets", method="DELETE", path="/secret/<name*>", name="remove", handler=found.remove,
              title="Delete Secret", scopes="secrets:set:<name>"),
        Route(service="secrets", method="GET", path="/secret/<name*>", name="get", handler=found.get,
              title="Read Secret", scopes="secrets:get:<name>", output="secrets/secret-response"),
        Route(service="secrets", method="GET", path="/secrets", name="list", handler=found.names,
              title="List Secrets", scopes="secrets:list-secrets", query=QUERY, output="secrets/secret-list"),
    ]  # fmt: skip
