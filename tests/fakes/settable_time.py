"""A clock that a test sets, and wake-ups whose waiting is what makes that clock go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta


class SettableClock:
    """Implements `ports.clock.Clock`."""

    def __init__(self, now: datetime) -> None:
        self.present = now

    def now(self) -> datetime:
        return self.present


class TimedWakeups:
    """Implements `ports.wakeups.Wakeups`: nobody wakes anybody, and a wait lasts its whole time at once."""

    def __init__(self, clock: SettableClock) -> None:
        self._clock = clock
        self.waits: list[float] = []

    @contextmanager
    def listen(self, channel: str) -> Iterator[TimedWakeups]:
        yield self

    def wake(self, channel: str) -> None:
        """Do nothing: who waits here looks again when its time is over."""

    async def wait(self, timeout_s: float) -> bool:
        self.waits.append(timeout_s)
        self._clock.present += timedelta(seconds=timeout_s)
        return False
