"""A server that answers every request with the same bytes: what the load itself could do, if servers cost nothing."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import uvloop
from generator import callers, drive
from operations import create

from liftlock.domain.credentials.certificates import Credentials

_BODY = b'{"status":' + b'"' + b"x" * 500 + b'"}'
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    len(_BODY),
    _BODY,
)


class _Answers(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment] # a stream's transport writes

    def data_received(self, _data: bytes) -> None:
        self._transport.write(_ANSWER)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Answers, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


async def _measure(port: int, steps: int) -> tuple[float, float]:
    clients = await callers(f"http://127.0.0.1:{port}", Credentials("bench", "t" * 44), 16)
    await drive(clients, create, steps // 4)
    used, began = time.process_time(), time.perf_counter()
    await drive(clients, create, steps)
    rate = steps / (time.perf_counter() - began)
    cost = (time.process_time() - used) / steps * 1e6
    for client in clients:
        client.close()
    return rate, cost


def ceiling(steps: int = 8000) -> tuple[float, float]:
    """Return how many createTask requests a second the load can make, and the microseconds that each costs it."""
    with subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            return uvloop.run(_measure(int(server.stdout.readline()), steps))
        finally:
            server.terminate()


if __name__ == "__main__":
    uvloop.run(_serve())
