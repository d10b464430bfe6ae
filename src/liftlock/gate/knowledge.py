"""What gated knows at this moment, in memory: the records of each feed, their age, and who may pass nevertheless.

Ages are counted on the monotonic clock: setting the wall clock makes no list younger or older.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from liftlock.domain.pushes.feed import Cursor, Record, prevails
from liftlock.gate.ledger import Ledger
from liftlock.ports.clock import Clock
from liftlock.ports.gate_state import Override
from liftlock.values.instants import to_ms

Reread = Callable[[str, int], Awaitable[Record | None]]
"""Ask feedd for one bug of a source, now."""


@dataclass(slots=True)
class Source:
    """One feed. `contacted`: monotonic seconds of the last contact, None if not known."""

    name: str
    records: dict[int, Record] = field(default_factory=dict)
    cursor: Cursor | None = None
    contacted: float | None = None
    frozen: str | None = None
    highest_bug: int | None = None
    request: int | None = None
    accept_drop: bool = False
    refused: str = ""
    """Why the last snapshot was not taken; empty if it was."""
    reread: Reread | None = None
    """How to ask for one bug, while feedd is connected."""

    @property
    def known(self) -> bool:
        """Whether there is a list at all."""
        return self.cursor is not None

    def age_s(self, monotonic: float) -> float | None:
        """Return the seconds since the last contact, or None if there was none that can be believed."""
        return None if self.contacted is None else max(0.0, monotonic - self.contacted)


class Knowledge:
    """All sources and overrides. Memory follows the durable state: it changes after the commit."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self.ledger = ledger
        self.clock = clock
        self.sources: dict[str, Source] = {}
        self.overrides: list[Override] = []
        self.loaded = float("inf")
        """Monotonic seconds since when feeds are listened to."""
        self.lock = asyncio.Lock()
        """Held while something is judged by what is known and then changes it."""

    def now_ms(self) -> int:
        """Return the wall clock's time."""
        return to_ms(self.clock.now())

    def monotonic(self) -> float:
        """Return seconds on a clock that nobody sets."""
        return asyncio.get_running_loop().time()

    def source(self, name: str) -> Source:
        """Return the source of that name, empty if nothing was heard of it."""
        return self.sources.setdefault(name, Source(name))

    async def load(self) -> None:
        """Take over what the last process left. A contact that lies in the future says nothing about the age."""
        now_ms, self.loaded = self.now_ms(), self.monotonic()
        for stored in await self.ledger.do(lambda state: state.feeds()):
            source = self.source(stored.source)
            source.records = dict(stored.records)
            source.cursor, source.frozen, source.highest_bug = (
                stored.cursor,
                stored.frozen,
                stored.highest_bug,
            )
            if stored.contacted_ms is not None and stored.contacted_ms <= now_ms:
                source.contacted = self.monotonic() - (now_ms - stored.contacted_ms) / 1000
        self.overrides = await self.ledger.do(lambda state: state.overrides(now_ms))

    async def apply(self, source: Source, cursor: Cursor, records: Sequence[Record]) -> None:
        """Make records of one batch durable and known; what is known newer already stays."""
        held = source.records
        newest: dict[int, Record] = {}
        for record in records:
            if prevails(newest.get(record.bug, held.get(record.bug)), record):
                newest[record.bug] = record
        await self.ledger.do(lambda state: state.apply(source.name, cursor, list(newest.values())))
        for bug, record in newest.items():
            if record.says_nothing:
                held.pop(bug, None)
            else:
                held[bug] = record
        source.cursor = cursor

    async def replace(self, source: Source, cursor: Cursor, records: Sequence[Record]) -> None:
        """Swap the whole list: a decision sees the old one or the new one."""
        await self.ledger.do(lambda state: state.replace(source.name, cursor, records))
        source.records = {record.bug: record for record in records if not record.says_nothing}
        source.cursor = cursor
        source.request, source.accept_drop, source.refused = None, False, ""

    def overridden(self, source: str, bug: int, repository: str) -> bool:
        """Whether an operator lets the bug pass in that repository now."""
        if not self.overrides:
            return False
        now_ms = self.now_ms()
        return any(
            each.bug == bug and each.source == source and each.repository in {None, repository}
            for each in self.overrides
            if each.at_ms <= now_ms < each.until_ms
        )
