"""Connections that are read in large pieces: what has come is taken at once, so that a byte costs its copying and little else.

httpcore reads 64 KiB at a time whatever has come; these give it more. TLS is the event loop's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any

import httpcore2

READ_BYTES = 1 << 20
"""Of one piece at most."""


class PlainConnection(httpcore2.AsyncNetworkStream):
    """Over a connected, non-blocking socket, which is this object's from now on.

    What `read` gives is valid until the next call only: it is a view of one buffer.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._view = memoryview(b"")

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 -- httpcore's interface
        """Return what has come, of any length up to `READ_BYTES`; empty: the other side has closed."""
        if not self._view:
            self._view = memoryview(bytearray(READ_BYTES))
        async with _bounded(timeout, httpcore2.ReadTimeout, httpcore2.ReadError):
            count = await asyncio.get_running_loop().sock_recv_into(self._socket, self._view)
        found: Any = self._view[:count]
        return found  # type: ignore[no-any-return] # a view is what h11 copies from, too

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 -- as above
        """Send all of it."""
        async with _bounded(timeout, httpcore2.WriteTimeout, httpcore2.WriteError):
            await asyncio.get_running_loop().sock_sendall(self._socket, buffer)

    async def aclose(self) -> None:
        """Close."""
        self._socket.close()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 -- as above
    ) -> httpcore2.AsyncNetworkStream:
        """Return the same connection, encrypted; ConnectError if the other side does not prove its name."""
        try:
            async with _bounded(timeout, httpcore2.ConnectTimeout, httpcore2.ConnectError):
                reader, writer = await asyncio.open_connection(
                    sock=self._socket, ssl=ssl_context, server_hostname=server_hostname, limit=READ_BYTES
                )
        except BaseException:
            self._socket.close()
            raise
        return TlsConnection(reader, writer)

    def get_extra_info(self, info: str) -> Any:
        """Return the socket, or whether something has come (httpcore asks before it uses a connection again)."""
        match info:
            case "socket":
                return self._socket
            case "is_readable":
                return _is_readable(self._socket)
            case _:
                return None


class TlsConnection(httpcore2.AsyncNetworkStream):
    """An encrypted connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 -- as above
        """Return what has come, of any length up to `READ_BYTES`; empty: the other side has closed."""
        async with _bounded(timeout, httpcore2.ReadTimeout, httpcore2.ReadError):
            return await self._reader.read(READ_BYTES)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 -- as above
        """Send all of it."""
        async with _bounded(timeout, httpcore2.WriteTimeout, httpcore2.WriteError):
            self._writer.write(buffer)
            await self._writer.drain()

    async def aclose(self) -> None:
        """Close without waiting for the other side to agree."""
        self._writer.transport.abort()

    def get_extra_info(self, info: str) -> Any:
        """Return what the transport knows, such as `ssl_object`; or whether the connection is of no use any more."""
        if info == "is_readable":
            return self._reader.at_eof() or self._writer.transport.is_closing()
        return self._writer.get_extra_info(info)


@contextlib.asynccontextmanager
async def _bounded(
    timeout: float | None,  # noqa: ASYNC109 -- of httpcore
    slow: type[Exception],
    failed: type[Exception],
) -> AsyncIterator[None]:
    """Do the block within `timeout`; what goes wrong is said in httpcore's terms."""
    try:
        async with asyncio.timeout(timeout):
            yield
    except TimeoutError as error:
        raise slow(f"nothing within {timeout} s") from error
    except OSError as error:
        raise failed(str(error) or type(error).__name__) from error


def _is_readable(connected: socket.socket) -> bool:
    if connected.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(connected, select.POLLIN)
    return bool(poll.poll(0))
