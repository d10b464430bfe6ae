"""The way to declared places: an HTTP proxy that tunnels and forwards to what the payload asked for and the pool permits.

Everything else is refused and recorded: a closed network has this proxy as well, so that attempts become known.
"""

from __future__ import annotations

import asyncio
import hashlib
from urllib.parse import urlsplit

import h11

from liftlock.domain.inputs.network import Network
from liftlock.ports.dialer import Dialer
from liftlock.ports.downloads import DownloadFailedError, DownloadRefusedError
from liftlock.worker.network.connection import ClosedError, Connection
from liftlock.worker.network.record import NetworkRecord

PORT = 3128
"""Inside the sandbox, on 127.0.0.1."""
INSIDE_URL = f"http://127.0.0.1:{PORT}"
IDLE_S = 300.0
"""How long a tunnel may be silent in both directions."""
_CHUNK = 1 << 16
_HOP = frozenset(
    (
        b"connection",
        b"host",
        b"keep-alive",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"upgrade",
    )
)


class Egress:
    """Answers for one run."""

    def __init__(self, network: Network, dialer: Dialer | None, record: NetworkRecord) -> None:
        self._network = network
        self._dialer = dialer
        self._record = record

    async def answer(self, connection: Connection) -> None:
        """Serve one request: a tunnel, or a plain request with an absolute address; then the connection ends."""
        request = await connection.request()
        if request is None:
            return
        method = request.method.decode("ascii", "replace")
        target = request.target.decode("ascii", "replace")
        place = _place(method, target)
        if place is None:
            await self._refuse(connection, method, target, "expected CONNECT host:port or http://host/…")
            return
        host, port, path = place
        names = {name for name, _ in request.headers}
        if {b"content-length", b"transfer-encoding"} <= names:
            await connection.refuse(400, "both Content-Length and Transfer-Encoding")
            return
        if not self._network.admits(host, port) or self._dialer is None:
            why = f"{host}:{port} is not declared in payload.network.allow; the network is closed"
            await self._refuse(connection, method, target, why)
            return
        try:
            reader, writer = await self._dialer.connect(host, port)
        except DownloadRefusedError as error:
            await self._refuse(connection, method, target, error.message)
            return
        except DownloadFailedError as error:
            await connection.refuse(502, error.message)
            return
        relay = _Relay(reader, writer)
        try:
            if path is None:
                await relay.send(await connection.tunnel())
            else:
                await self._forward(connection, request, relay, host, port, path)
            await relay.run(connection, both_ways=path is None)
        finally:
            self._record.connected(host, port, relay.sent, relay.received, relay.digest.hexdigest())
            writer.close()

    async def _forward(
        self, connection: Connection, request: h11.Request, relay: _Relay, host: str, port: int, path: bytes
    ) -> None:
        """Send the request anew, from its parsed form: nothing that a parser might read twice gets through."""
        client = h11.Connection(h11.CLIENT)
        headers = [(name, value) for name, value in request.headers if name not in _HOP]
        headers += [(b"host", f"{host}:{port}".encode()), (b"connection", b"close")]
        await relay.send(client.send(h11.Request(method=request.method, target=path, headers=headers)) or b"")
        async for chunk in connection.body():
            await relay.send(client.send(h11.Data(data=chunk)) or b"")
        await relay.send(client.send(h11.EndOfMessage()) or b"")
        connection.take_over()

    async def _refuse(self, connection: Connection, method: str, target: str, why: str) -> None:
        self._record.refuse(method, target.partition("?")[0], why)
        await connection.refuse(403, why)


class _Relay:
    """Bytes between a task's connection and one outside; counts both ways, digests what comes in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.sent = 0
        self.received = 0
        self.digest = hashlib.sha256()

    async def send(self, data: bytes) -> None:
        self.sent += len(data)
        self._writer.write(data)
        try:
            await self._writer.drain()
        except OSError as error:
            raise ClosedError from error

    async def run(self, connection: Connection, *, both_ways: bool) -> None:
        """Relay until the outside is done or one side breaks; one way after a request that was sent already."""
        outward = asyncio.create_task(self._outward(connection) if both_ways else asyncio.sleep(0))
        try:
            while chunk := await asyncio.wait_for(self._reader.read(_CHUNK), IDLE_S):
                self.received += len(chunk)
                self.digest.update(chunk)
                await connection.write_raw(chunk)
        except (OSError, TimeoutError) as error:
            raise ClosedError from error
        finally:
            outward.cancel()
            await asyncio.gather(outward, return_exceptions=True)

    async def _outward(self, connection: Connection) -> None:
        while chunk := await connection.read_raw(_CHUNK):
            await self.send(chunk)
        if self._writer.can_write_eof():
            self._writer.write_eof()


def _place(method: str, target: str) -> tuple[str, int, bytes | None] | None:
    """Return host in lower case, port, and for a plain request its path; None: the target is neither."""
    try:
        if method == "CONNECT":
            parts = urlsplit(f"//{target}")
            if parts.hostname is None or parts.port is None or parts.path or parts.username is not None:
                return None
            return parts.hostname, parts.port, None
        parts = urlsplit(target)
        port = parts.port or 80
    except ValueError:
        return None
    if parts.scheme != "http" or parts.hostname is None or parts.username is not None:
        return None
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.hostname, port, path.encode("ascii", "replace")
