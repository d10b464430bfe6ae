"""Tells open pages that something they show has changed: one reader of the outbox for all of them.

A page is told *that* something changed and looks for itself, with its own caller's scopes: nothing is given away here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from liftlock.errors import LiftlockError
from liftlock.ports.event_log import CHANNEL
from liftlock.ports.overview_store import Change, OverviewStore
from liftlock.ports.wakeups import Wakeups

HEARTBEAT_S: Final = 15.0
POLL_S: Final = 1.0
"""Events of another control plane are seen within this, if their wake-up is lost."""
GATHER_S: Final = 0.03
MAX_READ: Final = 1_000
OVERLAP: Final = 200
"""Events are numbered before they commit, so one may appear behind a later one: so many are read again."""

Matches = Callable[[Change], bool]
_log = structlog.get_logger(__name__)


@dataclass(eq=False, slots=True)
class _Listener:
    matches: Matches
    rung: asyncio.Event = field(default_factory=asyncio.Event)
    last: int = 0


class LiveChanges:
    """Follows the outbox while anybody listens."""

    def __init__(self, store: OverviewStore, wakeups: Wakeups) -> None:
        self._store = store
        self._wakeups = wakeups
        self._listeners: set[_Listener] = set()
        self._pump: asyncio.Task[None] | None = None
        self._recent: deque[int] = deque(maxlen=4 * OVERLAP)
        self._last = 0

    async def last(self) -> int:
        """Return the number of the newest change: to be asked before a page reads what it shows."""
        return await self._store.last_change()

    async def follow(self, matches: Matches, after: int | None) -> AsyncIterator[int | None]:
        """Yield the number of the latest matching change each time there is one, and None now and then.

        Args:
            after: The number up to which the page is known to be right (a resumed stream): what came since is told
                at once. None: from now on.
        """
        listener = _Listener(matches)
        self._listeners.add(listener)
        try:
            if self._pump is None or self._pump.done():
                self._last = await self._store.last_change()
                self._recent.clear()
                self._pump = asyncio.create_task(self._read())
            if after is not None:
                await self._catch_up(listener, after)
            yield None
            while True:
                try:
                    await asyncio.wait_for(listener.rung.wait(), HEARTBEAT_S)
                except TimeoutError:
                    yield None
                    continue
                listener.rung.clear()
                yield listener.last
        finally:
            self._listeners.discard(listener)

    async def _catch_up(self, listener: _Listener, after: int) -> None:
        missed = await self._store.changes(after, MAX_READ)
        if len(missed) == MAX_READ or any(map(listener.matches, missed)):
            _ring(listener, missed[-1].id)

    async def _read(self) -> None:
        with self._wakeups.listen(CHANNEL) as ticket:
            while self._listeners:
                await ticket.wait(POLL_S)
                await asyncio.sleep(GATHER_S)
                try:
                    await self._step()
                except LiftlockError as error:
                    _log.error("live changes were not read", code=error.code, error=error.message)

    async def _step(self) -> None:
        while True:
            found = await self._store.changes(max(0, self._last - OVERLAP), MAX_READ)
            fresh = [change for change in found if change.id not in self._recent and self._is_new(change)]
            for change in fresh:
                self._recent.append(change.id)
                for listener in self._listeners:
                    if listener.matches(change):
                        _ring(listener, change.id)
            if found:
                self._last = max(self._last, found[-1].id)
            if len(found) < MAX_READ:
                return

    def _is_new(self, change: Change) -> bool:
        """Tell whether the change came since this reader began, late ones too."""
        return change.id > self._last or bool(self._recent and change.id > self._recent[0])


def _ring(listener: _Listener, number: int) -> None:
    listener.last = max(listener.last, number)
    listener.rung.set()
