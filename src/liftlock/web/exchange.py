"""One request to the API and its answer: what a server gives and takes, behind one form.

`/api` never reads cookies, and its answers may be read by any page (CORS `*`): credentials are in the Hawk header alone.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, Final

from liftlock.errors import InputInvalidError, LiftlockError, TooLargeError
from liftlock.values.json import encode
from liftlock.web.routing import Reply

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]

MAX_BODY_BYTES = 10 * 1024 * 1024
_CORS: Final = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET,HEAD,POST,PUT,PATCH,DELETE,OPTIONS"),
    (b"access-control-allow-headers", b"authorization,content-type,x-taskcluster-trace-id"),
    (b"access-control-expose-headers", b"www-authenticate,location"),
    (b"access-control-max-age", b"900"),
)
FIXED: Final = (*_CORS, (b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))
JSON: Final = (*FIXED, (b"content-type", b"application/json; charset=utf-8"))
_CONTROL = re.compile(r"[\x00-\x1f\x7f]", re.ASCII)


class ClientGoneError(LiftlockError):
    """The caller closed the connection before its request was complete: nobody is left to answer."""

    code = "ClientGone"


class Exchange:
    """One request and its answer. `send` takes ASGI messages; `receive` gives them."""

    def __init__(
        self, method: str, path: str, query_string: str, headers: dict[str, str], scheme: str
    ) -> None:
        self.method = method
        self.path = path
        self.query_string = query_string
        self.target = f"{path}?{query_string}" if query_string else path
        self.headers = headers
        self.scheme = scheme
        self.name = "unknown"
        self.params: dict[str, str] = {}
        self.payload: Any = None

    async def receive(self) -> Message:
        """Return the next part of the body, or the news that the caller has gone."""
        raise NotImplementedError

    async def send(self, message: Message) -> None:
        """Send the head of an answer, or a part of its body."""
        raise NotImplementedError

    async def send_whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a whole answer; `content-length` is added here, and the body left out where there must be none."""
        length = [] if status == 204 else [(b"content-length", b"%d" % len(body))]
        await self.send({"type": "http.response.start", "status": status, "headers": [*headers, *length]})
        await self.send({"type": "http.response.body", "body": b"" if self.method == "HEAD" else body})

    @property
    def root_url(self) -> str:
        """The address under which the caller reached us."""
        proto = self.headers.get("x-forwarded-proto", self.scheme)
        return f"{proto}://{self.headers.get('x-forwarded-host') or self.headers.get('host', 'localhost')}"

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives; raises ClientGoneError if it ends early."""
        more = True
        while more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError("the caller closed the connection before its request was complete")
            more = message.get("more_body", False)
            if chunk := message.get("body", b""):
                yield chunk

    async def gone(self) -> None:
        """Return when the caller has closed the connection; for answers that last, once the body was received."""
        while (await self.receive())["type"] != "http.disconnect":
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
            await self._send_bytes(reply.status, b"", reply.headers, FIXED)
        elif isinstance(body, bytes):
            await self._send_bytes(reply.status, body, reply.headers, FIXED)
        elif isinstance(body, AsyncIterator):
            await self._send_stream(reply, body)
        else:
            await self._send_bytes(reply.status, encode(body), reply.headers, JSON)

    async def _send_bytes(self, status: int, body: bytes, headers: Mapping[str, str], fixed: Headers) -> None:
        """Send a whole answer; of a header that stands in both, `headers` win over `fixed`."""
        await self.send_whole(status, with_own(headers, fixed), body)

    async def _send_stream(self, reply: Reply, body: AsyncIterator[bytes]) -> None:
        headers = list(with_own(reply.headers, FIXED))
        await self.send({"type": "http.response.start", "status": reply.status, "headers": headers})
        try:
            if self.method != "HEAD":
                async for chunk in body:
                    await self.send({"type": "http.response.body", "body": chunk, "more_body": True})
        finally:
            if (close := getattr(body, "aclose", None)) is not None:
                await close()
        await self.send({"type": "http.response.body", "body": b""})


class AsgiExchange(Exchange):
    """A request as an ASGI server gives it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(
            scope["method"],
            scope["raw_path"].decode("ascii", "replace"),
            scope["query_string"].decode("ascii", "replace"),
            {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]},
            scope.get("scheme", "http"),
        )
        self._receive = receive
        self._send = send

    async def receive(self) -> Message:
        return await self._receive()

    async def send(self, message: Message) -> None:
        await self._send(message)


def with_own(headers: Mapping[str, str], fixed: Headers) -> Headers:
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
