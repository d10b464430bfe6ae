"""An answer in two writes goes out at once, whatever socket the server listens on."""

from __future__ import annotations

import asyncio
import socket

import pytest

from liftlock.processes import serving
from liftlock.web.http_protocol import DeadlineProtocol

pytestmark = pytest.mark.process


async def nothing(scope: object, receive: object, send: object) -> None:
    """Answer nothing."""


async def test_a_connection_waits_for_no_acknowledgement_between_two_writes() -> None:
    seen: list[int] = []
    connected = asyncio.Event()

    class Seen(DeadlineProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as its base
            super().connection_made(transport)
            found = transport.get_extra_info("socket")
            seen.append(found.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            connected.set()

    running = serving.server(nothing)
    listening = socket.create_server(("127.0.0.1", 0))
    assert listening.proto == 0, "a loop takes such a connection for something else than TCP"
    made = await asyncio.get_running_loop().create_server(
        lambda: Seen(config=running.config, server_state=running.server_state, app_state={}), sock=listening
    )
    async with made:
        _, writer = await asyncio.open_connection(*listening.getsockname())
        await asyncio.wait_for(connected.wait(), 20)
        writer.close()
    assert seen[0] != 0
