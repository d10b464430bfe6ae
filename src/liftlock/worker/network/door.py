"""A port inside of a sandbox's network on which the worker answers: accepting, bounds, and an end with the sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Protocol

import structlog

from liftlock.worker.network.connection import ClosedError, Connection
from liftlock.worker.network.record import NetworkRecord

MAX_CONNECTIONS = 64
_log = structlog.get_logger(__name__)


class Answering(Protocol):
    """Answers the requests of one connection until it ends."""

    async def answer(self, connection: Connection) -> None:
        """Serve it; ClosedError ends it."""
        ...


class Door:
    """Serves `answering` at `port` inside; `speaker` is who refuses, for messages."""

    def __init__(self, port: int, answering: Answering, record: NetworkRecord, *, speaker: str) -> None:
        self.port = port
        self._answering = answering
        self._record = record
        self._speaker = speaker
        self._connections: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def serving(self, listeners: tuple[socket.socket, ...]) -> AsyncIterator[None]:
        """Serve on `listeners`, which are closed in the end, with all connections."""
        accepting = [asyncio.create_task(self._accept(listener)) for listener in listeners]
        try:
            yield
        finally:
            for task in (*accepting, *self._connections):
                task.cancel()
            await asyncio.gather(*accepting, *self._connections, return_exceptions=True)
            for listener in listeners:
                listener.close()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(listener)
            except OSError:
                await asyncio.sleep(0.1)  # out of descriptors, say: the others go on
                continue
            if len(self._connections) >= MAX_CONNECTIONS:
                client.close()
                self._record.refuse("-", "-", f"more than {MAX_CONNECTIONS} connections at a time")
                continue
            task = asyncio.create_task(self._serve(client))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

    async def _serve(self, client: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=client)
        connection = Connection(reader, writer, speaker=self._speaker)
        try:
            await self._answering.answer(connection)
        except ClosedError:
            pass
        except Exception:  # noqa: BLE001 -- one connection's failure must not end the run; it is logged and closed
            _log.exception("a connection of a task failed")
        finally:
            await connection.close()
