"""Wake-ups within one event loop: a set of listeners for each channel."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class _Ticket:
    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        self._event.set()

    async def wait(self, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True


class InProcessWakeups:
    """Implements `ports.wakeups.Wakeups`; to be used from one event loop only."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[_Ticket]] = {}

    @contextmanager
    def listen(self, channel: str) -> Iterator[_Ticket]:
        """Listen to `channel` until the block ends."""
        ticket = _Ticket()
        self._listeners.setdefault(channel, set()).add(ticket)
        try:
            yield ticket
        finally:
            listeners = self._listeners[channel]
            listeners.discard(ticket)
            if not listeners:
                del self._listeners[channel]

    def wake(self, channel: str) -> None:
        """Wake all who listen to `channel`."""
        for ticket in self._listeners.get(channel, ()):
            ticket.ring()
