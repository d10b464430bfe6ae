"""A network backend that connects to the very address that was checked: a name that changes its mind gains nothing."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from typing import Any

import httpcore2

from liftlock.adapters.downloads.addresses import Addresses
from liftlock.adapters.downloads.connections import PlainConnection


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Resolves, checks and connects; Unix sockets are refused."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 -- the interface of httpcore
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Return a connection to the first address of `host` that answers."""
        literals = await self._addresses.resolve(host, port)
        last: httpcore2.ConnectError | httpcore2.ConnectTimeout | None = None
        for literal in literals:
            try:
                return PlainConnection(await _connected(literal, port, timeout))
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                last = error
        raise last or httpcore2.ConnectError(f"{host} has no address")

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore2.AsyncNetworkStream:
        """Refuse."""
        raise httpcore2.ConnectError("no Unix sockets")

    async def sleep(self, seconds: float) -> None:
        """Wait between attempts."""
        await asyncio.sleep(seconds)


async def _connected(literal: str, port: int, timeout: float | None) -> socket.socket:  # noqa: ASYNC109 -- as above
    family = socket.AF_INET6 if ":" in literal else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        async with asyncio.timeout(timeout):
            await asyncio.get_running_loop().sock_connect(made, (literal, port))
    except TimeoutError as error:
        made.close()
        raise httpcore2.ConnectTimeout(f"{literal} did not answer within {timeout} s") from error
    except OSError as error:
        made.close()
        raise httpcore2.ConnectError(error.strerror or str(error)) from error
    except BaseException:
        made.close()
        raise
    return made
