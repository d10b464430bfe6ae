"""Events to those who listen now: one reader of the log for all of them, and a bounded queue for each.

Who takes its events too slowly is dropped: it comes back with the id of the last event that it had, and goes on there.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from liftlock.domain.events.bindings import Wanted
from liftlock.domain.events.naming import Message
from liftlock.errors import BusyError, ExpiredError
from liftlock.ports.event_log import CHANNEL, EventLog
from liftlock.ports.wakeups import Wakeups

MAX_QUEUED: Final = 1000
"""Events that wait for one listener."""
MAX_LISTENERS: Final = 500
PAGE: Final = 500
LOOK_EVERY_S: Final = 1.0
SHORT_WAIT_S: Final = 0.02


class Listener:
    """One listener's place: messages to take, and whether it was too slow."""

    def __init__(self, wanted: Wanted, place: int) -> None:
        self.wanted = wanted
        self.place = place
        """Events up to this one were offered."""
        self.too_slow = False
        self._queue: deque[Message] = deque()
        self._filled = asyncio.Event()

    def offer(self, message: Message) -> None:
        """Queue the message if it is wanted and new."""
        if message.id <= self.place or self.too_slow:
            return
        self.place = message.id
        if message not in self.wanted:
            return
        if len(self._queue) >= MAX_QUEUED:
            self.too_slow = True
            self._queue.clear()
        else:
            self._queue.append(message)
        self._filled.set()

    async def take(self, timeout_s: float) -> list[Message]:
        """Return what has come, none if nothing did within `timeout_s` or the listener was too slow."""
        if not self._queue and not self.too_slow:
            self._filled.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._filled.wait()
            except TimeoutError:
                return []
        taken = list(self._queue)
        self._queue.clear()
        return taken


class EventFeed:
    """Follows the log while somebody listens."""

    def __init__(self, log: EventLog, wakeups: Wakeups) -> None:
        self._log = log
        self._wakeups = wakeups
        self._listeners: set[Listener] = set()
        self._somebody = asyncio.Event()

    @contextmanager
    def listen(self, wanted: Wanted, place: int) -> Iterator[Listener]:
        """Listen to events behind `place` until the block ends.

        Raises:
            BusyError: too many listen already.
        """
        if len(self._listeners) >= MAX_LISTENERS:
            raise BusyError(f"{MAX_LISTENERS} listen to events already; try again later")
        listener = Listener(wanted, place)
        self._listeners.add(listener)
        self._somebody.set()
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    async def place_for(self, last_id: int | None) -> int:
        """Return where a listener begins: behind the event `last_id`, or now.

        Raises:
            ExpiredError: events behind `last_id` are not kept any more: some would be missed.
        """
        newest = await self._log.newest()
        if last_id is None:
            return newest
        if last_id < await self._log.oldest() or last_id > newest:
            raise ExpiredError(
                f"events behind {last_id} are not kept any more; read the present state, then listen without an id"
            )
        return last_id

    async def step(self) -> None:
        """Read the log for those who listen, until nobody does."""
        self._somebody.clear()
        if not self._listeners:
            await self._somebody.wait()
        with self._wakeups.listen(CHANNEL) as ticket:
            while self._listeners:
                waits = await self.read_new()
                await ticket.wait(SHORT_WAIT_S if waits else LOOK_EVERY_S)

    async def read_new(self) -> bool:
        """Offer what is new to every listener; return whether something waits for transactions that still run."""
        place = min((one.place for one in self._listeners), default=None)
        while place is not None:
            page = await self._log.after(place, PAGE)
            for listener in self._listeners:
                for message in page.messages:
                    listener.offer(message)
                listener.place = max(listener.place, page.upto)
            place = page.upto
            if not page.more:
                return page.waits
            await asyncio.sleep(0)
        return False
