"""Dialer over asyncio: connects to the very address that was checked."""

from __future__ import annotations

import asyncio

from liftlock.adapters.downloads.addresses import Addresses
from liftlock.ports.downloads import DownloadFailedError

CONNECT_S = 10.0


class GuardedDialer:
    """Connects where the addresses allow."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses

    async def connect(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return a connection; see the port."""
        last = ""
        for literal in await self._addresses.resolve(host, port):
            try:
                async with asyncio.timeout(CONNECT_S):
                    return await asyncio.open_connection(literal, port)
            except (OSError, TimeoutError) as error:
                last = str(error) or type(error).__name__
        raise DownloadFailedError(f"{host}:{port}: nobody answers: {last}")
