"""The socket to which feedd brings records: one connection at a time, of a user that the policy names.

Source: docs/reference/gate.md#feed
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from liftlock.domain.pushes.feed import Record
from liftlock.errors import AuthenticationFailedError, MalformedPayloadError, StorageError
from liftlock.gate.desk import Desk
from liftlock.gate.feeding import Feeding
from liftlock.gate.peers import peer_uid
from liftlock.ports.gate_feed import MAX_LINE, FromFeed, FromGate, Refused, Reread, WantReread
from liftlock.values.json import decode_as

_log = structlog.get_logger(__name__)
IDLE_S: Final = 120.0
"""A link that says nothing for so long is closed; feedd sends a contact every few seconds."""
_encode = msgspec.json.Encoder().encode


class FeedServer:
    """Accepts feedd. A new connection replaces the one before: it is feedd, started again."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._link: _Link | None = None

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        try:
            uid = peer_uid(writer.transport)
            if uid not in self._desk.feeders:
                await self._turn_away(writer, uid)
                return
            if self._link is not None:
                self._link.close()
            link = self._link = _Link(self._desk, writer)
            try:
                await link.run(reader)
            finally:
                link.close()
                if self._link is link:
                    self._link = None
        except (ConnectionError, AuthenticationFailedError, TimeoutError):
            _log.warning("the feed's connection ended")
        finally:
            writer.close()

    async def _turn_away(self, writer: asyncio.StreamWriter, uid: int) -> None:
        _log.warning("somebody else wanted to feed the gate", uid=uid)
        self._desk.metrics.count("errors_total", kind="foreign-feed")
        self._desk.record_later(self._desk.entry("feed", "", f"uid {uid}", "turned-away"))
        writer.write(_encode(Refused(source="", why="this user may not feed the gate")) + b"\n")
        await writer.drain()

    @property
    def connected_now(self) -> bool:
        """Whether feedd is there."""
        return self._link is not None

    def demand(self, source: str, why: str) -> None:
        """Ask for a snapshot now if feedd is there; else it is told when it comes."""
        held = self._desk.knowledge.source(source)
        asked = self._desk.feeding().demand(held, why)
        if self._link is not None:
            self._link.send(asked)


class _Link:
    """One connection of feedd."""

    def __init__(self, desk: Desk, writer: asyncio.StreamWriter) -> None:
        self._desk = desk
        self._writer = writer
        self._feeding: Feeding = desk.feeding()
        self._numbers = itertools.count(1)
        self._asked: dict[int, tuple[int, Callable[[Record | None], None]]] = {}

    def send(self, message: FromGate) -> None:
        self._writer.write(_encode(message) + b"\n")

    async def run(self, reader: asyncio.StreamReader) -> None:
        """Apply messages one after the other until the connection ends."""
        greeting = self._feeding.where()
        self.send(greeting)
        for name in {*greeting.cursors, *greeting.requests}:
            self._desk.knowledge.source(name).reread = self._reread
        while True:
            async with asyncio.timeout(IDLE_S):
                line = await _line(reader)
            if not line:
                return
            try:
                message: FromFeed = decode_as(line, FromFeed, what="message")
            except MalformedPayloadError as error:
                self.send(Refused(source="", why=f"not understood: {error.message}"))
                continue
            if isinstance(message, Reread):
                self._reread_came(message)
                continue
            try:
                answer = await self._feeding.take(message)
            except StorageError as error:
                # Not acknowledged: feedd connects again and sends it again.
                _log.error("the feed could not be applied", error=error.message)
                self._desk.metrics.count("errors_total", kind="state")
                return
            if answer is not None:
                self.send(answer)
            await self._writer.drain()

    async def _reread(self, source: str, bug: int) -> Record | None:
        number = next(self._numbers)
        loop = asyncio.get_running_loop()
        came: asyncio.Future[Record | None] = loop.create_future()
        self._asked[number] = (bug, lambda record: None if came.done() else came.set_result(record))
        try:
            self.send(WantReread(id=number, source=source, bug=bug))
            record = await came
        finally:
            del self._asked[number]
        return await self._feeding.take_reread(self._desk.knowledge.source(source), bug, record)

    def _reread_came(self, message: Reread) -> None:
        asked = self._asked.get(message.id)
        if asked is not None:
            asked[1](message.record)

    def close(self) -> None:
        """Forget the link; who waits for a re-read gets none."""
        for source in self._desk.knowledge.sources.values():
            if source.reread == self._reread:
                source.reread = None
        for _, answer in list(self._asked.values()):
            answer(None)
        self._writer.close()


async def _line(reader: asyncio.StreamReader) -> bytes:
    """Return the next line; empty at the end, and when a line is longer than `MAX_LINE`."""
    try:
        return await reader.readline()
    except ValueError:
        _log.warning("a line of the feed is too long", limit=MAX_LINE)
        return b""
