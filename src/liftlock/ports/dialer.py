"""Connections on a task's behalf to places outside, each address checked before."""

from __future__ import annotations

import asyncio
from typing import Protocol


class Dialer(Protocol):
    """Connects."""

    async def connect(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return a connection to `host`.

        Raises:
            DownloadRefusedError: an address of it is not public, and the pool's policy does not name it.
            DownloadFailedError: nobody answers there.
        """
        ...
