"""Taking all that a non-blocking descriptor gives."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final

_CHUNK_BYTES: Final = 1 << 16


async def take_all(descriptor: int, feed: Callable[[bytes], None]) -> None:
    """Give `feed` what a pipe or a terminal gives, until its other end is closed.

    A terminal whose last process is gone answers with an error; that is its end, too. The descriptor stays open.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def readable() -> None:
        try:
            data = os.read(descriptor, _CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            feed(data)
        elif not ended.done():
            loop.remove_reader(descriptor)
            ended.set_result(None)

    loop.add_reader(descriptor, readable)
    try:
        await ended
    finally:
        loop.remove_reader(descriptor)
