"""A network backend that connects to the very address that was checked: a name that changes its mind gains nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import httpcore2

from liftlock.adapters.downloads.addresses import Addresses


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Resolves, checks and connects; Unix sockets are refused."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        self._inner = httpcore2.AnyIOBackend()

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
                return await self._inner.connect_tcp(literal, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                last = error
        raise last or httpcore2.ConnectError(f"{host} has no address")

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore2.AsyncNetworkStream:
        """Refuse."""
        raise httpcore2.ConnectError("no Unix sockets")

    async def sleep(self, seconds: float) -> None:
        """Wait between attempts."""
        await self._inner.sleep(seconds)
