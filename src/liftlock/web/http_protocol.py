"""The server's side of a connection, with the limits that uvicorn lacks: a slow or endless request is ended.

A request's head must be complete `HEAD_LIMIT_S` after its first byte and hold at most `HEAD_LIMIT_BYTES`; while its
body arrives, some byte must come every `BODY_IDLE_LIMIT_S`. A reader that takes nothing for `WRITE_LIMIT_S` is dropped.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from liftlock.web.direct import MAX_DIRECT_BYTES, DirectExchange, Serving

HEAD_LIMIT_S = 10.0
HEAD_LIMIT_BYTES = 64 * 1024
BODY_IDLE_LIMIT_S = 30.0
FIRST_BYTE_LIMIT_S = 20.0
WRITE_LIMIT_S = 60.0
"""So long a reader may take nothing of what waits for it; a connection is not worth more memory."""
_API = b"/api/"


class DeadlineProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol with deadlines on receiving a request."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: float | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._in_head = False
        self._in_body = False
        self._head_bytes = 0
        self._api: Serving | None = getattr(self.app, "api", None)
        self._direct: DirectExchange | None = None
        self._default_headers: object = None
        self._default_lines = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn narrows it too
        super().connection_made(transport)
        # An answer in two writes must not wait for an acknowledgement. The loop sees to that only where the listening
        # socket was made with the protocol's number, which `socket.create_server` leaves out.
        connected = transport.get_extra_info("socket")
        if connected is not None and connected.family in (socket.AF_INET, socket.AF_INET6):
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._arm(FIRST_BYTE_LIMIT_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        if self._alarm is not None:
            self._alarm.cancel()
        self._moves()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(WRITE_LIMIT_S, self.transport.abort)

    def resume_writing(self) -> None:
        self._moves()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._count(len(data))
        elif self._in_body:
            self._arm(BODY_IDLE_LIMIT_S)
        if not self.transport.is_closing():
            super().data_received(data)

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._direct = None
        self._in_head = True
        self._head_bytes = 0
        self._arm(HEAD_LIMIT_S)

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._in_head, self._in_body = False, True
        self._arm(BODY_IDLE_LIMIT_S)
        if self._is_direct():
            method = self.parser.get_method().decode("ascii")
            self._direct = DirectExchange(self, method, self.url, self.headers, self.scheme or "http")
            self._direct.keep_alive = (
                self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
            )
            self.cycle = self._direct  # type: ignore[assignment] # it has what uvicorn's protocol uses of a cycle
            return
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()  # makes what ASGI needs, and forgets what was received
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super().on_headers_complete()

    def _is_direct(self) -> bool:
        """Tell whether the request is one for the API, with a small body of known length, and none is under way."""
        if self._api is None or not self.url.startswith(_API) or b"#" in self.url or not self.url.isascii():
            return False
        if self.expect_100_continue or self.parser.should_upgrade():
            return False
        under_way: RequestResponseCycle | None = self.cycle
        if under_way is not None and not under_way.response_complete:
            return False
        for name, value in self.headers:
            if name == b"transfer-encoding" or (name == b"content-length" and not _is_small(value)):
                return False
        return True

    def on_body(self, body: bytes) -> None:
        if self._direct is None:
            super().on_body(body)
        else:
            self._direct.add(body)

    def on_message_complete(self) -> None:
        self._in_body = False
        self._disarm()
        if self._direct is None or self._api is None:
            super().on_message_complete()
            return
        task = self.loop.create_task(self._direct.answer(self._api))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif not self._in_head and not self._in_body:
            self._arm(self.timeout_keep_alive)

    def date_line(self) -> bytes:
        """Return the header lines that every answer has; they are made once a second."""
        headers = self.server_state.default_headers
        if headers is not self._default_headers:
            self._default_headers = headers
            self._default_lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        return self._default_lines

    def make_cycle(self, exchange: DirectExchange) -> RequestResponseCycle:
        """Return uvicorn's cycle for the rest of a request whose body has been taken."""
        cycle = RequestResponseCycle(
            scope={"method": exchange.method},  # type: ignore[typeddict-item] # nothing else of it is read
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=exchange.keep_alive,
            on_response=self.on_response_complete,
        )
        cycle.more_body = False
        cycle.disconnected = exchange.disconnected
        under_way: object = self.cycle
        if under_way is exchange:
            self.cycle = cycle
        return cycle

    def _moves(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _count(self, size: int) -> None:
        """Count a head's bytes, some twice: as they arrive in pieces and as they are parsed."""
        self._head_bytes += size
        if self._head_bytes > 2 * HEAD_LIMIT_BYTES and not self.transport.is_closing():
            self.transport.close()

    def _arm(self, seconds: float) -> None:
        """Set the deadline. There is one timer at a time, and it is not moved for each request: see `_ring`."""
        self._deadline = self.loop.time() + seconds
        if self._alarm is None:
            self._alarm = self.loop.call_later(min(seconds, HEAD_LIMIT_S), self._ring)

    def _disarm(self) -> None:
        self._deadline = None

    def _ring(self) -> None:
        """End the connection if its deadline has passed, else look again when it will have."""
        self._alarm = None
        if self._deadline is None or self.transport.is_closing():
            return
        left = self._deadline - self.loop.time()
        if left <= 0:
            self._deadline = None
            self.transport.close()
        else:
            self._alarm = self.loop.call_later(min(left, HEAD_LIMIT_S), self._ring)


def _is_small(length: bytes) -> bool:
    return length.isdigit() and len(length) < 10 and int(length) <= MAX_DIRECT_BYTES
