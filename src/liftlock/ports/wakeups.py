"""Waking those who wait for a change, so that nobody polls.

A wake-up carries no data and no promise: who is woken looks at the store. It may be lost when a process dies, so
every waiter also has a time limit after which it looks anyway.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol


class Ticket(Protocol):
    """One listener's place: it notes every wake-up of its channel from its creation on."""

    async def wait(self, timeout_s: float) -> bool:
        """Return True as soon as the channel was woken since creation or the last True; False after `timeout_s`."""
        ...


class Wakeups(Protocol):
    """Channels by name, such as `queue:local/unprivileged`."""

    def listen(self, channel: str) -> AbstractContextManager[Ticket]:
        """Listen from now on. First listen, then look at the store, then wait: so nothing is missed."""
        ...

    def wake(self, channel: str) -> None:
        """Wake all who listen to `channel`, in this process at once."""
        ...
