"""The server's side of a connection, with the limits that uvicorn lacks: a slow or endless request is ended.

A request's head must be complete `HEAD_LIMIT_S` after its first byte and hold at most `HEAD_LIMIT_BYTES`; while its
body arrives, some byte must come every `BODY_IDLE_LIMIT_S`. A reader that takes nothing for `WRITE_LIMIT_S` is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from liftlock.web.dispatch import WHOLE_ANSWER

HEAD_LIMIT_S = 10.0
HEAD_LIMIT_BYTES = 64 * 1024
BODY_IDLE_LIMIT_S = 30.0
FIRST_BYTE_LIMIT_S = 20.0
WRITE_LIMIT_S = 60.0
"""So long a reader may take nothing of what waits for it; a connection is not worth more memory."""


class DeadlineProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol with deadlines on receiving a request."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: float | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._in_head = False
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn narrows it too
        super().connection_made(transport)
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
        elif self._receiving_body():
            self._arm(BODY_IDLE_LIMIT_S)
        if not self.transport.is_closing():
            super().data_received(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 0
        self._arm(HEAD_LIMIT_S)

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._arm(BODY_IDLE_LIMIT_S)
        super().on_headers_complete()
        self.scope["extensions"] = {WHOLE_ANSWER: {"send": partial(_answer_whole, self.cycle)}}

    def on_message_complete(self) -> None:
        self._disarm()
        super().on_message_complete()

    def _moves(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _receiving_body(self) -> bool:
        return self._deadline is not None

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


def _answer_whole(
    cycle: RequestResponseCycle, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes
) -> bool:
    """Write a whole answer at once, which spares most of what two ASGI messages cost; False: it can't be done now.

    Args:
        headers: Lower-case names, and values without control characters; `content-length` among them if there is a body.
    """
    if cycle.response_started or cycle.disconnected or cycle.flow.write_paused:
        return False
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    lines = [b"%b: %b\r\n" % header for header in (*cycle.default_headers, *headers)]
    if not cycle.keep_alive:
        lines.append(b"connection: close\r\n")
    cycle.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[status], b"".join(lines), body))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True
