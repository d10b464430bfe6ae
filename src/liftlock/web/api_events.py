"""Events for others: a stream to listen to, and webhooks.

Source: docs/reference/events.md
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from liftlock.domain.events.bindings import Binding, Wanted, check_bindings
from liftlock.errors import RequestArgumentsError
from liftlock.ports.webhook_store import Webhook
from liftlock.services.event_feed import EventFeed
from liftlock.services.webhooks import Webhooks, need_to_listen
from liftlock.values.instants import format_instant
from liftlock.values.json import decode_as
from liftlock.web.event_stream import stream
from liftlock.web.paging import QUERY, limit_of, texts_after, token
from liftlock.web.routing import ApiRequest, Handler, Method, Reply, Route


class _Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The query option `bindings`, as JSON."""

    bindings: list[Binding]


class _Listening:
    def __init__(self, feed: EventFeed) -> None:
        self._feed = feed

    async def connect(self, request: ApiRequest) -> object:
        given = decode_as(request.query.get("bindings", "{}").encode(), _Asked, what="query option bindings")
        wanted = check_bindings(given.bindings)
        request.caller.require(need_to_listen(wanted.topics))
        place = await self._feed.place_for(_last_id(request))
        lasts_s = (request.caller.expires - request.now).total_seconds()
        headers = {"content-type": "text/event-stream; charset=utf-8", "x-accel-buffering": "no"}
        return Reply(body=self._stream(wanted, place, request, lasts_s), headers=headers)

    async def _stream(
        self, wanted: Wanted, place: int, request: ApiRequest, lasts_s: float
    ) -> AsyncIterator[bytes]:
        with self._feed.listen(wanted, place) as listener:
            async for part in stream(listener, request.gone, lasts_s):
                yield part


def _last_id(request: ApiRequest) -> int | None:
    text = request.headers.get("last-event-id") or request.query.get("lastEventId") or ""
    if text == "":
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise RequestArgumentsError(f"Last-Event-ID: expected the id of an event, got {text[:32]!r}")
    return int(text)


class _Keeping:
    def __init__(self, webhooks: Webhooks) -> None:
        self._webhooks = webhooks

    async def create(self, request: ApiRequest) -> object:
        name = request.params["webhookId"]
        made, secret = await self._webhooks.create(request.caller, name, request.payload, request.now)
        return {**_wire(made), "secret": secret}

    async def get(self, request: ApiRequest) -> object:
        found, state = await self._webhooks.get(request.caller, request.params["webhookId"])
        paused = state.paused_until
        more = {} if paused is None else {"pausedUntil": format_instant(paused)}
        return {
            **_wire(found),
            "waiting": state.waiting,
            "failuresInARow": state.failures,
            "givenUp": state.given_up,
            "lastError": state.last_error,
            **more,
        }

    async def listed(self, request: ApiRequest) -> object:
        limit = limit_of(request.query)
        [after] = texts_after(request.query, 1)
        page = await self._webhooks.listed(request.caller, after, limit)
        more = {"continuationToken": token(page[-1].webhook_id)} if len(page) == limit else {}
        return {"webhooks": [_wire(one) for one in page], **more}

    async def remove(self, request: ApiRequest) -> object:
        await self._webhooks.remove(request.caller, request.params["webhookId"], request.now)
        return None


def _wire(webhook: Webhook) -> dict[str, Any]:
    return {
        "webhookId": webhook.webhook_id,
        "url": webhook.url,
        "description": webhook.description,
        "bindings": [
            {"exchange": one.exchange, "routingKeyPattern": one.routing_key_pattern}
            for one in webhook.bindings
        ],
        "creator": webhook.creator,
        "created": format_instant(webhook.created),
    }


def _route(method: Method, path: str, name: str, handler: Handler, title: str, **more: Any) -> Route:
    return Route(service="events", method=method, path=path, name=name, handler=handler, title=title, **more)


def routes(feed: EventFeed, webhooks: Webhooks) -> list[Route]:
    """Return the routes of the events service."""
    keep = _Keeping(webhooks)
    manage = "events:manage-webhook:<webhookId>"
    listening = {"for": "topic", "in": "topics", "each": "events:listen:<topic>"}
    return [
        _route("GET", "/connect", "connect", _Listening(feed).connect, "Listen to events",
               query=("bindings", "lastEventId"), scopes={"AllOf": [listening]},
               description="An endless answer of server-sent events. `bindings` is JSON:"
               ' `{"bindings": [{"exchange": …, "routingKeyPattern": …}]}`.'),
        _route("GET", "/webhooks", "listWebhooks", keep.listed, "List webhooks", query=QUERY,
               scopes="events:list-webhooks", output="events/webhook-list"),
        _route("PUT", "/webhooks/<webhookId>", "createWebhook", keep.create, "Register a webhook",
               input="events/create-webhook-request", output="events/create-webhook-response",
               scopes={"AllOf": [manage, listening]},
               description="The answer holds the secret that signs what is sent; it is shown this once."),
        _route("GET", "/webhooks/<webhookId>", "webhook", keep.get, "Show a webhook and how its deliveries go",
               scopes="events:get-webhook:<webhookId>", output="events/webhook"),
        _route("DELETE", "/webhooks/<webhookId>", "removeWebhook", keep.remove, "Remove a webhook", scopes=manage),
    ]  # fmt: skip
