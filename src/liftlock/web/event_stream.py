"""Events as server-sent events: one block an event with its id, a heartbeat while there is none.

Source: docs/reference/events.md#stream
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from liftlock.services.event_feed import Listener
from liftlock.values.json import encode

HEARTBEAT_S: Final = 15.0
LONGEST_S: Final = 3600.0
"""A stream ends after this time, or with the caller's credentials; who listens on connects again, and is asked anew."""
_RETRY_MS: Final = 2000


def block(kind: str, data: Any, number: int | None = None) -> bytes:
    """Return one event of the stream; JSON holds no line breaks."""
    identified = b"" if number is None else f"id: {number}\n".encode()
    return identified + f"event: {kind}\n".encode() + b"data: " + encode(data) + b"\n\n"


async def stream(
    listener: Listener, gone: Callable[[], Awaitable[None]], lasts_s: float
) -> AsyncIterator[bytes]:
    """Yield what the listener gets, until it is gone, too slow, or `lasts_s` are over."""
    yield f"retry: {_RETRY_MS}\nid: {listener.place}\n".encode() + block("ready", {"place": listener.place})
    loop = asyncio.get_running_loop()
    end = loop.time() + min(lasts_s, LONGEST_S)
    left = asyncio.ensure_future(gone())
    try:
        while not left.done() and (remaining := end - loop.time()) > 0:
            taking = asyncio.ensure_future(listener.take(min(HEARTBEAT_S, remaining)))
            await asyncio.wait((taking, left), return_when=asyncio.FIRST_COMPLETED)
            if not taking.done():
                taking.cancel()
                return
            if listener.too_slow:
                yield block(
                    "error", {"code": "TooSlow", "message": "events came faster than they were taken"}
                )
                return
            messages = taking.result()
            if messages:
                yield b"".join(block("message", one.wire(), one.id) for one in messages)
            else:
                yield f": heartbeat\nid: {listener.place}\n\n".encode()
    finally:
        left.cancel()
        with suppress(asyncio.CancelledError):
            await left
