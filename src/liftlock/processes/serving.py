"""Serving an ASGI application on a socket that was opened before, until asked to end."""

from __future__ import annotations

import asyncio
import signal
import socket
from typing import Any

import uvicorn

from liftlock.web.http_protocol import DeadlineProtocol

KEEP_ALIVE_S = 75
GRACE_S = 2


def preload() -> None:
    """Import what the server would import later, for a process that loses its right to read the installation."""
    server(_nothing)


async def _nothing(_scope: Any, _receive: Any, _send: Any) -> None:
    """Answer nothing: an application in place of the one that is not built yet."""


def server(app: Any) -> uvicorn.Server:
    """Return a server for `app` with the project's limits and without access log."""
    config = uvicorn.Config(
        app,
        http=DeadlineProtocol,
        ws="none",
        lifespan="off",
        loop="none",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        backlog=1024,
    )
    config.load()
    return uvicorn.Server(config)


async def serve(app: Any, listening: socket.socket, stop: asyncio.Event) -> None:
    """Serve `app` on `listening` until `stop` is set; running requests get `GRACE_S` to end."""
    running = server(app)
    running.lifespan = running.config.lifespan_class(running.config)
    await running.startup(sockets=[listening])
    ticker = asyncio.create_task(running.main_loop())
    await stop.wait()
    running.should_exit = True
    await ticker
    await running.shutdown(sockets=[listening])


def stop_on_signals() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set; to be called inside the event loop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
