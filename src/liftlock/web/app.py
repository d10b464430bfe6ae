"""The control plane's whole ASGI application: the API, what describes it, what operators ask for, and the pages.

`/references/…`, `/schemas/…` and `/openapi.json` may be read by anybody and any page; they are made once, at the start.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from prometheus_client import CollectorRegistry, generate_latest

from liftlock.errors import LiftlockError
from liftlock.web.dispatch import Api
from liftlock.web.exchange import Receive, Scope, Send
from liftlock.web.pages.site import Site
from liftlock.web.third_party_endpoints import CREDENTIALS, TOKEN, ThirdPartyEndpoints

_TEXT = b"text/plain; charset=utf-8"
_JSON = b"application/json; charset=utf-8"
_FIXED = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]
_PUBLIC = [
    (b"access-control-allow-origin", b"*"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"public, max-age=60"),
    (b"content-type", _JSON),
]

Check = Callable[[], Awaitable[None]]


class App:
    """Sends a request to the part that answers it."""

    def __init__(
        self,
        api: Api,
        documents: Mapping[str, bytes],
        registry: CollectorRegistry,
        ready: Check,
        site: Site,
        third_parties: ThirdPartyEndpoints,
    ) -> None:
        """Make the application.

        Args:
            documents: Path -> JSON of what everybody may read.
            ready: Raises a LiftlockError while the store can't be written.
            site: The pages: everything that is none of the others.
            third_parties: What programs that act for people call.
        """
        self.api = api
        """Answers everything below `/api/`; a server may call it without this application."""
        self._documents = documents
        self._registry = registry
        self._ready = ready
        self._site = site
        self._third_parties = third_parties

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        if path.startswith("/api/"):
            await self.api(scope, receive, send)
        elif path in (TOKEN, CREDENTIALS):
            await self._third_parties(scope, receive, send)
        elif path in self._documents:
            await _document(scope["method"], self._documents[path], send)
        elif path == "/healthz":
            await _text(send, 200, b"ok\n")
        elif path == "/readyz":
            await self._readiness(send)
        elif path == "/metrics":
            await _text(send, 200, generate_latest(self._registry))
        else:
            await self._site(scope, receive, send)

    async def _readiness(self, send: Send) -> None:
        try:
            await self._ready()
        except LiftlockError as error:
            await _text(send, 503, f"not ready: {error.code}\n".encode())
        else:
            await _text(send, 200, b"ready\n")


async def _document(method: str, body: bytes, send: Send) -> None:
    if method not in ("GET", "HEAD"):
        await _text(send, 405, b"only GET and HEAD read this\n")
        return
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [*_PUBLIC, length]})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})


async def _text(send: Send, status: int, body: bytes) -> None:
    headers = [*_FIXED, (b"content-type", _TEXT), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
