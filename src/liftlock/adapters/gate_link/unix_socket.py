"""GateLink over a unix socket: gated's own, or the near end of a stream that ssh forwards to it.

Source: docs/reference/gate-feed.md#link
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from liftlock.errors import MalformedPayloadError, StorageError
from liftlock.ports.gate_feed import MAX_LINE, FromFeed, FromGate
from liftlock.values.json import decode_as

_encode = msgspec.json.Encoder().encode
CONNECT_S: Final = 5.0


class UnixGateLink:
    """One connection. Implements `ports.gate_feed.GateLink`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, message: FromFeed) -> None:
        line = _encode(message) + b"\n"
        if len(line) > MAX_LINE:
            raise StorageError(f"a message to the gate of {len(line)} bytes, expected at most {MAX_LINE}")
        try:
            self._writer.write(line)
            await self._writer.drain()
        except OSError as error:
            raise StorageError(f"the link to the gate: {error}") from error

    async def receive(self) -> FromGate | None:
        try:
            line = await self._reader.readline()
            return decode_as(line, FromGate, what="message") if line else None
        except (OSError, ValueError) as error:
            raise StorageError(f"the link to the gate: {error}") from error
        except MalformedPayloadError as error:
            raise StorageError(f"the link to the gate: {error.message}") from error

    def close(self) -> None:
        """End it."""
        self._writer.close()


async def connect(path: str) -> UnixGateLink:
    """Return a new link; raises StorageError if nobody listens there."""
    try:
        async with asyncio.timeout(CONNECT_S):
            return UnixGateLink(*await asyncio.open_unix_connection(path, limit=MAX_LINE))
    except (OSError, TimeoutError) as error:
        raise StorageError(f"{path}: the gate does not answer: {error}") from error
