"""The API as an ASGI application: match, authenticate, validate, handle, answer; every error in one form.

`/api` never reads cookies, and its answers may be read by any page (CORS `*`): credentials are in the Hawk header alone.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

import structlog

from liftlock.errors import (
    InputInvalidError,
    LiftlockError,
    MalformedPayloadError,
    NotFoundError,
    RequestArgumentsError,
    StaleSnapshotError,
    TooLargeError,
)
from liftlock.ports.clock import Clock
from liftlock.services.authorize import Authorizer, HttpFacts, checked
from liftlock.values.json import decode, encode
from liftlock.web.errors import STATUS_OF_CODE, body_of
from liftlock.web.routing import ApiRequest, Reply, Route, RouteTable
from liftlock.web.validation import validate

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
_Headers = list[tuple[bytes, bytes]]

WHOLE_ANSWER = "liftlock.whole_answer"
"""An extension that a server may offer: its `send`, called with status, headers and body, answers or returns False."""
MAX_BODY_BYTES = 10 * 1024 * 1024
MAX_ATTEMPTS = 4
"""How often a request is decided anew when roles or clients change meanwhile."""

_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_PATH = re.compile(r"/api/([a-z-]+)/v1(/.*)\Z", re.ASCII)
_CORS = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET,HEAD,POST,PUT,PATCH,DELETE,OPTIONS"),
    (b"access-control-allow-headers", b"authorization,content-type,x-taskcluster-trace-id"),
    (b"access-control-expose-headers", b"www-authenticate,location"),
    (b"access-control-max-age", b"900"),
]
_FIXED = [*_CORS, (b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]
_JSON = [*_FIXED, (b"content-type", b"application/json; charset=utf-8")]
_CONTROL = re.compile(r"[\x00-\x1f\x7f]", re.ASCII)
_log = structlog.get_logger(__name__)


class ClientGoneError(LiftlockError):
    """The caller closed the connection before its request was complete: nobody is left to answer."""

    code = "ClientGone"


class Api:
    """Answers everything below `/api/`."""

    def __init__(self, table: RouteTable, authorizer: Authorizer, clock: Clock) -> None:
        self._table = table
        self._authorizer = authorizer
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = _Exchange(scope, receive, send)
        if scope["method"] == "OPTIONS":
            await exchange.send_bytes(204, b"", {})
            return
        try:
            reply = await self._answer(exchange)
        except ClientGoneError:
            return
        except LiftlockError as error:
            reply = self._failure(exchange, error)
        except asyncio.CancelledError:
            raise
        except Exception:  # noqa: BLE001 -- the process loop of a request: logged, answered, and the server goes on
            _log.exception("request failed", method=exchange.name)
            reply = self._failure(exchange, LiftlockError("internal error; it was logged with its time"))
        await exchange.send_reply(reply)

    async def _answer(self, exchange: _Exchange) -> Reply:
        route = self._find(exchange)
        query = _query(exchange, route)
        body = await exchange.body() if route.public_body == "json" else b""
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                return await self._handle(exchange, route, query, body)
            except StaleSnapshotError:
                self._authorizer.expire()
                if attempt == MAX_ATTEMPTS:
                    raise
        raise StaleSnapshotError("unreachable: attempts are bounded")

    def _find(self, exchange: _Exchange) -> Route:
        match = _PATH.match(exchange.path)
        if match is None:
            raise NotFoundError(f"{exchange.path[:256]}: expected /api/<service>/v1/<route>")
        found = self._table.match(match[1], exchange.method, match[2])
        if found is None:
            allowed = self._table.methods(match[1], match[2])
            hint = f"this path answers {', '.join(allowed)}" if allowed else "no such route"
            raise NotFoundError(f"{exchange.method} {exchange.path[:256]}: {hint}")
        route, exchange.params = found
        exchange.name = route.name
        for name, value in exchange.params.items():
            _refuse_nul(value, f"path argument {name}")
        return route

    async def _handle(self, exchange: _Exchange, route: Route, query: dict[str, str], body: bytes) -> Reply:
        now = self._clock.now()
        headers = exchange.headers
        facts = HttpFacts(
            method=exchange.method,
            target=exchange.target,
            host=headers.get("host", ""),
            forwarded_port=headers.get("x-forwarded-port"),
            forwarded_proto=headers.get("x-forwarded-proto"),
            authorization=headers.get("authorization"),
            content_type=headers.get("content-type", ""),
            body=body if route.public_body == "json" else None,
            writes=exchange.method in _WRITES,
        )
        if route.authenticated:
            caller = await self._authorizer.authenticate(facts, now)
        else:
            caller = await self._authorizer.anonymous(now)
        payload = None
        if route.input is not None or (body and route.public_body == "json"):
            payload = exchange.payload = _decoded(body)
        if route.input is not None:
            validate(route.input, payload)
        value = await route.handler(
            ApiRequest(
                params=exchange.params,
                query=query,
                payload=payload,
                caller=caller,
                now=now,
                headers=headers,
                target=exchange.target,
                facts=facts,
                root_url=exchange.root_url,
                receive=lambda: checked(exchange.chunks(), caller, headers.get("content-type", "")),
                gone=exchange.gone,
            )
        )
        return value if isinstance(value, Reply) else Reply(status=204 if value is None else 200, body=value)

    def _failure(self, exchange: _Exchange, error: LiftlockError) -> Reply:
        now = self._clock.now()
        status = STATUS_OF_CODE.get(error.code, 500)
        if status >= 500:
            _log.error("request failed", method=exchange.name, code=error.code, error=error.message)
        body = body_of(error, name=exchange.name, params=exchange.params, payload=exchange.payload, now=now)
        return Reply(status=status, body=body, headers={"www-authenticate": "hawk"} if status == 401 else {})


class _Exchange:
    """One request and its answer, in ASGI's terms."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self.method: str = scope["method"]
        self.path: str = scope["raw_path"].decode("ascii", "replace")
        query = scope["query_string"].decode("ascii", "replace")
        self.query_string = query
        self.target = f"{self.path}?{query}" if query else self.path
        self.headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        self._scheme = scope.get("scheme", "http")
        self._answer_whole = scope.get("extensions", {}).get(WHOLE_ANSWER, {}).get("send")
        self.name = "unknown"
        self.params: dict[str, str] = {}
        self.payload: Any = None

    @property
    def root_url(self) -> str:
        """The address under which the caller reached us."""
        proto = self.headers.get("x-forwarded-proto", self._scheme)
        return f"{proto}://{self.headers.get('x-forwarded-host') or self.headers.get('host', 'localhost')}"

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives; raises ClientGoneError if it ends early."""
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError("the caller closed the connection before its request was complete")
            more = message.get("more_body", False)
            if chunk := message.get("body", b""):
                yield chunk

    async def gone(self) -> None:
        """Return when the caller has closed the connection; for answers that last, once the body was received."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def body(self) -> bytes:
        """Return the whole body; raises TooLargeError beyond `MAX_BODY_BYTES`."""
        length = self.headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length) > MAX_BODY_BYTES:
            raise TooLargeError(f"body: expected at most {MAX_BODY_BYTES} bytes, got {length[:20]}")
        parts: list[bytes] = []
        size = 0
        async for chunk in self.chunks():
            size += len(chunk)
            if size > MAX_BODY_BYTES:
                raise TooLargeError(f"body: expected at most {MAX_BODY_BYTES} bytes")
            parts.append(chunk)
        return b"".join(parts)

    async def send_reply(self, reply: Reply) -> None:
        """Send what a handler answered."""
        body = reply.body
        if body is None:
            await self.send_bytes(reply.status, b"", reply.headers)
        elif isinstance(body, bytes):
            await self.send_bytes(reply.status, body, reply.headers)
        elif isinstance(body, AsyncIterator):
            await self._send_stream(reply, body)
        else:
            await self.send_bytes(reply.status, encode(body), reply.headers, _JSON)

    async def send_bytes(
        self, status: int, body: bytes, headers: Mapping[str, str], fixed: _Headers = _FIXED
    ) -> None:
        """Send a whole answer at once; of a header that stands in both, `headers` win over `fixed`."""
        length = [] if status == 204 else [(b"content-length", b"%d" % len(body))]
        whole = _with_own(headers, [*fixed, *length])
        sent = b"" if self.method == "HEAD" else body
        if self._answer_whole is None or not self._answer_whole(status, whole, sent):
            await self._send({"type": "http.response.start", "status": status, "headers": whole})
            await self._send({"type": "http.response.body", "body": sent})

    async def _send_stream(self, reply: Reply, body: AsyncIterator[bytes]) -> None:
        headers = _with_own(reply.headers, _FIXED)
        await self._send({"type": "http.response.start", "status": reply.status, "headers": headers})
        try:
            if self.method != "HEAD":
                async for chunk in body:
                    await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        finally:
            if (close := getattr(body, "aclose", None)) is not None:
                await close()
        await self._send({"type": "http.response.body", "body": b""})


def _with_own(headers: Mapping[str, str], fixed: _Headers) -> _Headers:
    """Return `fixed` and `headers`; of one that stands in both, that of `headers`."""
    if not headers:
        return fixed
    own = [(name.lower().encode("latin-1"), _header_value(value)) for name, value in headers.items()]
    names = {name for name, _ in own}
    return [*(item for item in fixed if item[0] not in names), *own]


def _header_value(value: str) -> bytes:
    if _CONTROL.search(value) is not None:
        raise InputInvalidError("a header's value must hold no control characters")
    return value.encode("latin-1", "replace")


def _refuse_nul(text: str, what: str) -> None:
    if "\x00" in text:
        raise RequestArgumentsError(f"{what}: holds the character NUL, which no stored text may")


def _decoded(body: bytes) -> Any:
    """Return the body's JSON; raises MalformedPayloadError, also for the character NUL, which PostgreSQL does not store."""
    payload = decode(body)
    if b"\\u0000" in body and _holds_nul(payload):
        raise MalformedPayloadError("body: holds the character NUL, which no stored text may")
    return payload


def _holds_nul(value: Any) -> bool:
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str() as text:
                if "\x00" in text:
                    return True
            case list() as items:
                waiting += items
            case dict() as members:
                waiting += members
                waiting += members.values()
    return False


def _query(exchange: _Exchange, route: Route) -> dict[str, str]:
    """Return the known query options; `bewit` is the authenticator's.

    Raises:
        RequestArgumentsError: an option is unknown or stands twice.
    """
    found: dict[str, str] = {}
    for name, value in parse_qsl(exchange.query_string, keep_blank_values=True):
        if name == "bewit":
            continue
        if name not in route.query:
            known = ", ".join(route.query) or "none"
            raise RequestArgumentsError(f"query option {name[:64]!r} is unknown here; known: {known}")
        if name in found:
            raise RequestArgumentsError(f"query option {name!r} stands more than once")
        _refuse_nul(value, f"query option {name}")
        found[name] = value
    return found
