"""The API: match, authenticate, validate, handle, answer; every error in one form."""

from __future__ import annotations

import asyncio
import re
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import structlog

from liftlock.errors import (
    LiftlockError,
    MalformedPayloadError,
    NotFoundError,
    RequestArgumentsError,
    StaleSnapshotError,
)
from liftlock.ports.clock import Clock
from liftlock.services.authorize import Authorizer, Caller, HttpFacts, checked
from liftlock.values.json import decode
from liftlock.web.errors import STATUS_OF_CODE, body_of
from liftlock.web.exchange import AsgiExchange, ClientGoneError, Exchange, Receive, Scope, Send
from liftlock.web.routing import ApiRequest, Reply, Route, RouteTable
from liftlock.web.validation import validate

MAX_ATTEMPTS = 4
"""How often a request is decided anew when roles or clients change meanwhile."""

_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_PATH = re.compile(r"/api/([a-z-]+)/v1(/.*)\Z", re.ASCII)
_MAX_TOLD = 1000
_log = structlog.get_logger(__name__)


class Api:
    """Answers everything below `/api/`."""

    def __init__(self, table: RouteTable, authorizer: Authorizer, clock: Clock) -> None:
        self._table = table
        self._authorizer = authorizer
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.serve(AsgiExchange(scope, receive, send))

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request, whatever it is; raises nothing but CancelledError and what its connection raises."""
        try:
            reply = Reply(status=204) if exchange.method == "OPTIONS" else await self._answer(exchange)
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

    async def _answer(self, exchange: Exchange) -> Reply:
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

    def _find(self, exchange: Exchange) -> Route:
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

    async def _handle(self, exchange: Exchange, route: Route, query: dict[str, str], body: bytes) -> Reply:
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
        reply = value if isinstance(value, Reply) else Reply(status=204 if value is None else 200, body=value)
        return _told(reply, caller) if caller.retiring else reply

    def _failure(self, exchange: Exchange, error: LiftlockError) -> Reply:
        now = self._clock.now()
        status = STATUS_OF_CODE.get(error.code, 500)
        if status >= 500:
            _log.error("request failed", method=exchange.name, code=error.code, error=error.message)
        body = body_of(error, name=exchange.name, params=exchange.params, payload=exchange.payload, now=now)
        return Reply(status=status, body=body, headers={"www-authenticate": "hawk"} if status == 401 else {})


def _refuse_nul(text: str, what: str) -> None:
    if "\x00" in text:
        raise RequestArgumentsError(f"{what}: holds the character NUL, which no stored text may")


def _told(reply: Reply, caller: Caller) -> Reply:
    """Return the reply with what the caller needed that is to be taken away."""
    scopes = ", ".join(caller.retiring)[:_MAX_TOLD]
    return msgspec.structs.replace(reply, headers={**reply.headers, "x-liftlock-retiring": scopes})


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


def _query(exchange: Exchange, route: Route) -> dict[str, str]:
    """Return the known query options; `bewit` is the authenticator's.

    Raises:
        RequestArgumentsError: an option is unknown or stands twice.
    """
    found: dict[str, str] = {}
    if not exchange.query_string:
        return found
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
