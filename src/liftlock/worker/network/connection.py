"""One connection of a task to its proxy: HTTP/1.1 read strictly, each step with a deadline, bodies streamed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import h11
import msgspec

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 64 << 20
IDLE_S = 75.0
"""How long a kept-alive connection may wait for its next request."""
HEAD_S = 15.0
"""How long a request's head may take, from its first byte."""
STALL_S = 60.0
"""How long a body may stand still in either direction."""
_READ_BYTES = 1 << 16


class ClosedError(Exception):
    """The client went away, was too slow, or broke the protocol so that nothing can be said to it."""


class Connection:
    """Reads requests and writes answers, one at a time."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        speaker: str,
    ) -> None:
        self._speaker = speaker
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self.answering = False

    async def request(self) -> h11.Request | None:
        """Return the next request's head; None: the client is done.

        Raises:
            ClosedError: too slow; or malformed (then it was answered with 400).
        """
        event = self._next()
        if event is h11.NEED_DATA:
            await self._receive(IDLE_S)
            deadline = asyncio.get_running_loop().time() + HEAD_S
            while (event := self._next_or_refuse()) is h11.NEED_DATA:
                await self._receive(deadline - asyncio.get_running_loop().time())
        if isinstance(event, h11.Request):
            if event.http_version in (b"1.0", b"1.1"):
                return event
            event = b"unknown version of HTTP"
        if isinstance(event, bytes):
            await self.refuse(400, "malformed request")
            raise ClosedError
        return None

    def _next(self) -> object:
        return self._next_or_refuse()

    def _next_or_refuse(self) -> object:
        """Return h11's next event; bytes if the client broke the protocol."""
        try:
            return self._http.next_event()
        except h11.RemoteProtocolError as error:
            return str(error).encode()

    async def _receive(self, within_s: float) -> None:
        try:
            data = await asyncio.wait_for(self._reader.read(_READ_BYTES), max(0.0, within_s))
        except (TimeoutError, OSError) as error:
            raise ClosedError from error
        try:
            self._http.receive_data(data)
        except h11.RemoteProtocolError as error:
            raise ClosedError from error

    async def body(self) -> AsyncIterator[bytes]:
        """Yield the request's body; ClosedError if it stalls, is malformed, or has more than `MAX_BODY_BYTES`."""
        size = 0
        if self._http.they_are_waiting_for_100_continue:
            await self._send(h11.InformationalResponse(status_code=100, headers=[]))
        while True:
            event = self._next_or_refuse()
            if event is h11.NEED_DATA:
                await self._receive(STALL_S)
            elif isinstance(event, h11.Data):
                size += len(event.data)
                if size > MAX_BODY_BYTES:
                    raise ClosedError
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return
            else:
                raise ClosedError

    async def answer(
        self, status: int, headers: list[tuple[bytes, bytes]], body: AsyncIterator[bytes]
    ) -> None:
        """Send an answer; without a length it is chunked, or ends with the connection for HTTP/1.0."""
        self.answering = True
        await self._send(h11.Response(status_code=status, headers=headers, reason=b""))
        async for chunk in body:
            if chunk:
                await self._send(h11.Data(data=chunk))
        await self._send(h11.EndOfMessage())
        self.answering = False

    async def answer_whole(self, status: int, headers: list[tuple[bytes, bytes]], content: bytes) -> None:
        """Send an answer that is there already."""
        sized = [*headers, (b"content-length", str(len(content)).encode())]
        await self.answer(status, sized, _one(content))

    async def refuse(self, status: int, why: str, code: str = "ProxyRefused") -> None:
        """Answer with an error in the API's form, and close afterwards."""
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE) or self.answering:
            raise ClosedError
        content = msgspec.json.encode({"code": code, "message": f"{self._speaker}: {why}"})
        headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
        await self.answer_whole(status, headers, content)

    async def tunnel(self) -> bytes:
        """Agree to a CONNECT; return what the client has sent already of what belongs to the tunnel."""
        await self._send(h11.Response(status_code=200, headers=[], reason=b"Connection established"))
        self.answering = True
        return bytes(self._http.trailing_data[0])

    def take_over(self) -> None:
        """Say that the answer is written by `write_raw`, and that the connection ends with it."""
        self.answering = True

    async def read_raw(self, size: int) -> bytes:
        """Return what the client sends next, outside of HTTP; nothing at its end."""
        try:
            return await self._reader.read(size)
        except OSError as error:
            raise ClosedError from error

    async def write_raw(self, data: bytes) -> None:
        """Send bytes as they are; ClosedError if the client does not take them."""
        try:
            self._writer.write(data)
            await asyncio.wait_for(self._writer.drain(), STALL_S)
        except (TimeoutError, OSError) as error:
            raise ClosedError from error

    def ready_for_next(self) -> bool:
        """Tell whether another request may follow, and prepare for it."""
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            return True
        return False

    async def close(self) -> None:
        """Close; what was sent is still delivered."""
        self._writer.close()
        try:
            await asyncio.wait_for(self._writer.wait_closed(), 1.0)
        except (TimeoutError, OSError):
            self._writer.transport.abort()

    async def _send(self, event: h11.Event) -> None:
        try:
            data = self._http.send(event)
            if data:
                self._writer.write(data)
                await asyncio.wait_for(self._writer.drain(), STALL_S)
        except (TimeoutError, OSError, h11.LocalProtocolError) as error:
            raise ClosedError from error


async def _one(content: bytes) -> AsyncIterator[bytes]:
    yield content
