"""The load: closed loops over kept connections that cost as little as a Python program can.

A request is one write of bytes that were mostly made before; an answer is parsed for its status and its length. The
signature is that of the official client: Hawk with a hash of the body, for each request anew.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import itertools
import secrets
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from liftlock.domain.credentials.certificates import Credentials


class Signer:
    """Makes whole signed requests for one client of one server."""

    def __init__(self, root_url: str, credentials: Credentials) -> None:
        parts = urlsplit(root_url)
        self.host, self.port = parts.hostname or "", parts.port or 80
        self._id = credentials.client_id
        self._key = credentials.access_token.encode()
        self._nonces = map(f"{secrets.token_urlsafe(6)}{{:x}}".format, itertools.count())
        self._tail = f"{self.host}\n{self.port}\n"
        self._http = f" HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n"

    def request(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Return a request for `path` below `/api/`, ready to be written."""
        target = f"/api/{path}"
        ts, nonce = int(time.time()), next(self._nonces)
        kind = b"application/json" if body else b""
        payload = hashlib.sha256(b"hawk.1.payload\n%b\n%b\n" % (kind, body)).digest()
        digest = base64.b64encode(payload).decode()
        text = f"hawk.1.header\n{ts}\n{nonce}\n{method}\n{target}\n{self._tail}{digest}\n\n"
        mac = base64.b64encode(hmac.digest(self._key, text.encode(), "sha256")).decode()
        content = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
        if not body and method in ("POST", "PUT"):
            content = "Content-Length: 0\r\n"
        head = (
            f"{method} {target}{self._http}{content}"
            f'Authorization: Hawk id="{self._id}", ts="{ts}", nonce="{nonce}", hash="{digest}", mac="{mac}"\r\n\r\n'
        )
        return head.encode() + body


class Connection(asyncio.Protocol):
    """One kept connection with one request under way."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._received = b""
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def open(cls, host: str, port: int) -> Connection:
        """Return a connection to the server."""
        loop = asyncio.get_running_loop()
        _transport, protocol = await loop.create_connection(cls, host, port)
        return protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] # a stream's transport writes

    def send(self, request: bytes) -> asyncio.Future[tuple[int, bytes]]:
        """Write the request; the future gets status and body of the answer."""
        assert self._transport is not None
        self._answer = self._loop.create_future()
        self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        end = received.find(b"\r\n\r\n")
        at = received.find(b"content-length: ", 0, end) if end > 0 else -1
        length = int(received[at + 16 : received.index(b"\r", at)]) if at > 0 else 0
        if end < 0 or len(received) < end + 4 + length:
            self._received = received
            return
        self._received = b""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((int(received[9:12]), received[end + 4 :]))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError(f"the server closed the connection: {exc}"))

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()


class Caller:
    """A signer with a connection: one of the clients that load a server."""

    def __init__(self, signer: Signer, connection: Connection, number: int) -> None:
        self._signer = signer
        self._connection = connection
        self.number = number
        self.latencies: list[float] = []

    async def call(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Return the answer's body; an error status is an exception."""
        began = time.perf_counter()
        status, answer = await self._connection.send(self._signer.request(method, path, body))
        self.latencies.append(time.perf_counter() - began)
        if status >= 400:
            raise RuntimeError(f"{method} {path}: {status} {answer[:600]!r}")
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


Step = Callable[[Caller], Awaitable[None]]


async def callers(root_url: str, credentials: Credentials, count: int) -> list[Caller]:
    """Return `count` callers, each with its own connection."""
    signer = Signer(root_url, credentials)
    return [
        Caller(signer, await Connection.open(signer.host, signer.port), number) for number in range(count)
    ]


async def drive(clients: list[Caller], step: Step, steps: int) -> None:
    """Do `steps` steps in all, each client one after the other."""

    async def run(client: Caller) -> None:
        for _ in range(steps // len(clients)):
            await step(client)

    await asyncio.gather(*map(run, clients))
