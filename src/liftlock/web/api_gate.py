"""The gate service: what trackers send, and the stream on which feedd receives it.

Source: docs/reference/gate-feed.md#doorbells
"""

from __future__ import annotations

import contextlib
from typing import Any, Final

from liftlock.domain.pushes.tracker_webhook import rung_bug, source_name
from liftlock.errors import (
    AuthenticationFailedError,
    InputInvalidError,
    LiftlockError,
    MalformedPayloadError,
    TooLargeError,
)
from liftlock.services.relay_tracker import MAX_SIGNED_BYTES, RelayTracker
from liftlock.web.routing import ApiRequest, Handler, Method, Reply, Route

STREAM: Final = "text/event-stream; charset=utf-8"
_HEADERS: Final = {
    "keyId": "x-liftlock-key-id",
    "ts": "x-liftlock-timestamp",
    "nonce": "x-liftlock-nonce",
    "signature": "x-liftlock-signature",
}
MAX_HEADER: Final = 256


def routes(relay: RelayTracker) -> list[Route]:
    """Return the service's routes, but for `/ping` and its like."""
    handlers = _Handlers(relay)
    receive = "gate:receive-tracker:<source>"
    return [
        _route(
            "POST",
            "/tracker/<source>/doorbell",
            "ringTracker",
            handlers.ring,
            "A tracker's webhook: something may have changed",
            input="gate/doorbell-request",
            authenticated=False,
            description=(
                "A hint without authority: at most the number at `bug.id` is passed on, and whoever receives it reads the "
                "bug from the tracker. The answer is the same for trackers that nobody follows."
            ),
        ),
        _route(
            "POST",
            "/tracker/<source>/events",
            "sendTrackerEvents",
            handlers.events,
            "Signed events of a tracker",
            public_body="raw",
            authenticated=False,
            description=(
                "The signature is in X-Liftlock-Key-Id, -Timestamp, -Nonce and -Signature, and is verified by the receiver. "
                "Answers 200 when the events are kept, 401 when they are refused, 503 when they must be sent again."
            ),
        ),
        _route(
            "GET",
            "/tracker/<source>/stream",
            "followTracker",
            handlers.follow,
            "What a tracker sends, as server-sent events",
            scopes=receive,
            description="Events `ring` {bug} (0: look for yourself) and `signed` {id, keyId, ts, nonce, signature, body}.",
        ),
        _route(
            "POST",
            "/tracker/<source>/receipt",
            "receiveTrackerEvents",
            handlers.receipt,
            "Say what became of signed events",
            input="gate/receipt-request",
            scopes=receive,
        ),
    ]


def _route(method: Method, path: str, name: str, handler: Handler, title: str, **more: Any) -> Route:
    return Route(
        service="gate",
        method=method,
        path=path,
        name=name,
        handler=handler,
        title=title,
        stability="experimental",
        **more,
    )


class _Handlers:
    def __init__(self, relay: RelayTracker) -> None:
        self._relay = relay

    async def ring(self, request: ApiRequest) -> object:
        self._relay.ring(source_name(request.params["source"]), rung_bug(request.payload))
        return {}

    async def events(self, request: ApiRequest) -> object:
        source = source_name(request.params["source"])
        signed: dict[str, Any] = {name: request.headers.get(header, "") for name, header in _HEADERS.items()}
        for name, header in _HEADERS.items():
            if not 0 < len(signed[name]) <= MAX_HEADER:
                raise InputInvalidError(f"{header}: expected 1 to {MAX_HEADER} characters")
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_SIGNED_BYTES:
                raise TooLargeError(f"events: expected at most {MAX_SIGNED_BYTES} bytes")
        try:
            signed["body"] = body.decode("utf-8")
        except UnicodeDecodeError as error:
            raise MalformedPayloadError("events: expected UTF-8") from error
        said = await self._relay.hand_over(source, signed)
        if said["outcome"] == "refused":
            raise AuthenticationFailedError(str(said.get("why", "events: refused"))[:500])
        return said

    async def follow(self, request: ApiRequest) -> object:
        async def gone() -> None:
            with contextlib.suppress(LiftlockError):
                async for _ in request.stream():
                    pass

        stream = self._relay.listen(request.caller, source_name(request.params["source"]), gone)
        return Reply(body=stream, headers={"content-type": STREAM})

    async def receipt(self, request: ApiRequest) -> object:
        self._relay.receipt(request.caller, source_name(request.params["source"]), request.payload)
        return {}
