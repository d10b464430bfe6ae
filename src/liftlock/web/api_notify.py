"""The notify service over HTTP.

Source: docs/reference/notify.md
"""

from __future__ import annotations

from typing import Any

from liftlock.ports.small_stores import Address
from liftlock.services.notifications import Notifications
from liftlock.web.paging import QUERY, limit_of, texts_after, token
from liftlock.web.routing import ApiRequest, Handler, Method, Route


def _address(payload: Any) -> Address:
    return Address(payload["notificationType"], payload["notificationAddress"])


class _Notify:
    def __init__(self, notifications: Notifications) -> None:
        self._notifications = notifications

    async def email(self, request: ApiRequest) -> object:
        await self._notifications.email(request.caller, request.payload, request.now)
        return None

    def elsewhere(self, kind: str, scope: str, field: str) -> Handler:
        async def handler(request: ApiRequest) -> object:
            await self._notifications.elsewhere(request.caller, kind, scope, request.payload[field])
            return None

        return handler

    async def deny(self, request: ApiRequest) -> object:
        await self._notifications.deny(request.caller, _address(request.payload), request.now)
        return None

    async def allow(self, request: ApiRequest) -> object:
        await self._notifications.allow(request.caller, _address(request.payload), request.now)
        return None

    async def denied(self, request: ApiRequest) -> object:
        limit = limit_of(request.query)
        kind, address = texts_after(request.query, 2)
        page = await self._notifications.denied(request.caller, Address(kind, address), limit)
        answer: dict[str, Any] = {
            "addresses": [{"notificationType": one.kind, "notificationAddress": one.address} for one in page]
        }
        if len(page) < limit:
            return answer
        return {**answer, "continuationToken": token(page[-1].kind, page[-1].address)}


def _route(method: Method, path: str, name: str, handler: Handler, title: str, **more: Any) -> Route:
    return Route(service="notify", method=method, path=path, name=name, handler=handler, title=title, **more)


def routes(notifications: Notifications) -> list[Route]:
    """Return the routes of the notify service."""
    found = _Notify(notifications)
    manage = {"scopes": "notify:manage-denylist"}
    return [
        _route("POST", "/email", "email", found.email, "Send an Email", stability="experimental", input="notify/email-request",
               scopes="notify:email:<address>"),
        _route("POST", "/pulse", "pulse", found.elsewhere("pulse", "notify:pulse", "routingKey"),
               "Publish a Pulse Message", stability="experimental", input="notify/pulse-request", scopes="notify:pulse:<routingKey>"),
        _route("POST", "/matrix", "matrix", found.elsewhere("matrix-room", "notify:matrix-room", "roomId"),
               "Post Matrix Message", stability="experimental", input="notify/matrix-request", scopes="notify:matrix-room:<roomId>"),
        _route("POST", "/slack", "slack", found.elsewhere("slack-channel", "notify:slack-channel", "channelId"),
               "Post Slack Message", stability="experimental", input="notify/slack-request", scopes="notify:slack-channel:<channelId>"),
        _route("POST", "/denylist/add", "addDenylistAddress", found.deny, "Denylist Given Address", stability="experimental",
               input="notify/notification-address", **manage),
        _route("DELETE", "/denylist/delete", "deleteDenylistAddress", found.allow, "Delete Denylisted Address", stability="experimental",
               input="notify/notification-address", **manage),
        _route("GET", "/denylist/list", "listDenylist", found.denied, "List Denylisted Notifications", stability="experimental",
               query=QUERY, **manage, output="notify/notification-address-list"),
    ]  # fmt: skip
