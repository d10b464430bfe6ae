"""Requests to the API that are small and whole when their handling begins: most of them.

They need neither ASGI's messages nor uvicorn's bookkeeping for them, which costs several times what is left. What is
not so simple (a streamed answer, the news that the caller has gone) is done by uvicorn's own cycle, made when asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final, Protocol

import structlog
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from liftlock.values.json import encode
from liftlock.web.exchange import FIXED, JSON, Exchange, Headers, Message
from liftlock.web.routing import Reply

MAX_DIRECT_BYTES: Final = 64 * 1024
"""A longer body is received by uvicorn, which stops reading while nobody takes it."""
_log = structlog.get_logger(__name__)


class Serving(Protocol):
    """What answers such a request: `dispatch.Api`."""

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request."""
        ...


class Connection(Protocol):
    """What a request needs of the connection that it came by."""

    transport: asyncio.Transport
    flow: FlowControl
    cycle: Any

    def date_line(self) -> bytes:
        """Return the header lines that every answer has."""
        ...

    def make_cycle(self, exchange: DirectExchange) -> RequestResponseCycle:
        """Return uvicorn's cycle for the rest of a request whose body has been taken."""
        ...

    def on_response_complete(self) -> None:
        """Go on with what the connection brought meanwhile."""
        ...


class _NobodyWaits:
    """In place of the event by which uvicorn's cycle hears of what its connection brings."""

    @staticmethod
    def set() -> None:
        """Do nothing."""


def _lines(headers: Headers) -> bytes:
    return b"".join(b"%b: %b\r\n" % header for header in headers)


_LINES: Final = {FIXED: _lines(FIXED), JSON: _lines(JSON)}


class DirectExchange(Exchange):
    """One such request. uvicorn's protocol sees it as the connection's present cycle."""

    message_event: Final = _NobodyWaits()

    def __init__(
        self, connection: Connection, method: str, url: bytes, headers: list[tuple[bytes, bytes]], scheme: str
    ) -> None:
        path, _, query = url.decode("ascii").partition("?")
        super().__init__(
            method,
            path,
            query,
            {name.decode("latin-1"): value.decode("latin-1") for name, value in headers},
            scheme,
        )
        self._connection = connection
        self._content: list[bytes] | None = []
        self._asgi: RequestResponseCycle | None = None
        self.keep_alive = True
        self.disconnected = False
        self.response_complete = False

    def add(self, piece: bytes) -> None:
        """Take the next bytes of the body; all of them before `answer` is called."""
        if self._content is not None:
            self._content.append(piece)

    async def answer(self, api: Serving) -> None:
        """Let `api` answer; the connection is closed if it does not."""
        try:
            await api.serve(self)
        except Exception:  # noqa: BLE001 -- the process loop of a request: logged, and the server goes on
            _log.exception("a request was not answered", method=self.name)
        finally:
            if not (self.response_complete or (self._asgi is not None and self._asgi.response_complete)):
                self._connection.transport.close()

    async def body(self) -> bytes:
        content, self._content = self._content, None
        return b"".join(content or ())

    async def chunks(self) -> AsyncIterator[bytes]:
        content, self._content = self._content, None
        if content is None:
            async for chunk in super().chunks():
                yield chunk
        else:
            for piece in content:
                yield piece

    async def receive(self) -> Message:
        return dict(await self._cycle().receive())

    async def send(self, message: Message) -> None:
        await self._cycle().send(message)  # type: ignore[arg-type] # it is one of ASGI's

    def _cycle(self) -> RequestResponseCycle:
        if self._asgi is None:
            self._asgi = self._connection.make_cycle(self)
        return self._asgi

    async def send_reply(self, reply: Reply) -> None:
        body = reply.body
        if reply.headers or isinstance(body, AsyncIterator) or self._connection.flow.write_paused:
            await super().send_reply(reply)
        elif body is None or isinstance(body, bytes):
            self._write(reply.status, _LINES[FIXED], body or b"")
        else:
            self._write(reply.status, _LINES[JSON], encode(body))

    async def send_whole(self, status: int, headers: Headers, body: bytes) -> None:
        await self._connection.flow.drain()
        self._write(status, _lines(headers), body)

    def _write(self, status: int, lines: bytes, body: bytes) -> None:
        """Write the answer: `lines` are its headers but for those that follow from the body and the connection."""
        transport = self._connection.transport
        if transport.is_closing():
            return
        self.response_complete = True
        if self._asgi is not None:
            self._asgi.response_started = self._asgi.response_complete = True
            self._asgi.message_event.set()
        length = b"" if status == 204 else b"content-length: %d\r\n" % len(body)
        close = b"" if self.keep_alive else b"connection: close\r\n"
        sent = b"" if self.method == "HEAD" else body
        transport.write(
            b"%b%b%b%b%b\r\n%b"
            % (STATUS_LINE[status], self._connection.date_line(), lines, length, close, sent)
        )
        if not self.keep_alive:
            transport.close()
        self._connection.on_response_complete()
