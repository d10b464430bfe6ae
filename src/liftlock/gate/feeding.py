"""What gated does with each message of a feed: durable first, then known, then answered.

Source: docs/reference/gate.md#feed
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from liftlock.domain.pushes.feed import (
    FROZEN,
    MAX_BUG,
    MAX_SEQ,
    Contact,
    Cursor,
    Record,
    Snapshot,
    first_defect,
    lost_place,
    objection,
    plan,
    prevails,
)
from liftlock.domain.pushes.gate_policy import GatePolicy
from liftlock.gate.knowledge import Knowledge, Source
from liftlock.gate.metrics import Metrics
from liftlock.ports.gate_feed import (
    MAX_BATCH,
    MAX_SNAPSHOT,
    PROTOCOL,
    Applied,
    Contacted,
    FromFeed,
    FromGate,
    Gap,
    Records,
    Refused,
    Reread,
    Resync,
    SnapshotBegins,
    SnapshotEnds,
    SnapshotPart,
    Where,
)
from liftlock.ports.gate_state import Entry

_log = structlog.get_logger(__name__)
NOTE_CONTACT_EVERY_S = 30.0


@dataclass(slots=True)
class _Assembly:
    """A snapshot that is being received."""

    epoch: str
    head: int
    request: int | None
    records: list[Record] = field(default_factory=list)


class Feeding:
    """Applies the messages of one connection; another connection has another one."""

    def __init__(self, knowledge: Knowledge, policy: Callable[[], GatePolicy], metrics: Metrics) -> None:
        self._knowledge = knowledge
        self._metrics = metrics
        self._policy = policy
        self._assembling: dict[str, _Assembly] = {}
        self._noted: dict[str, float] = {}

    @property
    def _sources(self) -> frozenset[str]:
        """The trackers that the policy in force names."""
        return self._policy().sources

    def where(self) -> Where:
        """Return the greeting: from where each source goes on, and which must begin anew."""
        cursors, requests = {}, {}
        for name in sorted(self._sources):
            source = self._knowledge.source(name)
            if source.cursor is None and source.request is None:
                source.request = self._knowledge.now_ms()
            if source.cursor is not None:
                cursors[name] = source.cursor
            if source.request is not None:
                requests[name] = source.request
        return Where(protocol=PROTOCOL, cursors=cursors, requests=requests)

    async def take(self, message: FromFeed) -> FromGate | None:
        """Return the answer to one message, or None if it has none.

        Raises:
            StorageError: nothing of it took effect; it must be sent again.
        """
        if message.source not in self._sources:
            return await self._refuse(message.source, "no source of that name is in the policy")
        source = self._knowledge.source(message.source)
        async with self._knowledge.lock:
            match message:
                case Records():
                    answer: FromGate | None = await self._records(source, message)
                case Contacted(contact=contact):
                    answer = await self._contact(source, contact)
                case SnapshotBegins(epoch=epoch, head=head, request=request):
                    answer = await self._begin(source, _Assembly(epoch, head, request))
                case SnapshotPart(records=records):
                    answer = await self._part(source, records)
                case SnapshotEnds(count=count):
                    answer = await self._end(source, count)
                case Reread():
                    answer = None
        return answer

    async def take_reread(self, source: Source, bug: int, record: Record | None) -> Record | None:
        """Make a record that was read again known at once, if it is not older; the cursor stays."""
        if record is None or record.bug != bug or first_defect([record]):
            return None
        async with self._knowledge.lock:
            if source.cursor is None or source.frozen or not prevails(source.records.get(bug), record):
                return None
            await self._knowledge.apply(source, source.cursor, [record])
        return record

    async def _records(self, source: Source, message: Records) -> FromGate:
        if len(message.records) > MAX_BATCH:
            return await self._refuse(source.name, f"more than {MAX_BATCH} records in one message")
        if problem := first_defect(message.records):
            return await self._refuse(source.name, problem)
        if source.frozen is not None:
            return await self._refuse(source.name, f"the feed is frozen: {source.frozen}")
        found = plan(source.cursor, message.epoch, message.records)
        if found.answer == "resync" or found.cursor is None:
            return self.demand(source, "it counts from another beginning")
        if found.apply:
            await self._knowledge.apply(source, found.cursor, found.apply)
        self._metrics.count("feed_total", source=source.name, result=found.answer)
        if found.answer == "gap":
            return Gap(source=source.name, cursor=found.cursor)
        return Applied(source=source.name, cursor=found.cursor)

    async def _contact(self, source: Source, contact: Contact) -> FromGate:
        if not all(0 <= each <= MAX_SEQ for each in (contact.age_ms, contact.head, contact.floor)):
            return await self._refuse(source.name, f"a contact with numbers below 0 or above {MAX_SEQ}")
        if contact.highest_bug is not None and not 0 <= contact.highest_bug <= MAX_BUG:
            return await self._refuse(
                source.name, f"highest_bug {contact.highest_bug}: expected 0 to {MAX_BUG}"
            )
        if contact.frozen is not None:
            code = contact.frozen if contact.frozen in FROZEN else "no-access"
            await self._freeze(source, code)
            return Applied(source=source.name, cursor=source.cursor)
        why = lost_place(source.cursor, contact)
        if why is not None:
            return self.demand(source, why)
        await self._touch(source, contact)
        return Applied(source=source.name, cursor=source.cursor)

    async def _touch(self, source: Source, contact: Contact) -> None:
        knowledge = self._knowledge
        now = knowledge.monotonic()
        thawed, source.frozen = source.frozen is not None, None
        source.contacted = max(now - contact.age_ms / 1000, source.contacted or float("-inf"))
        source.highest_bug = contact.highest_bug if contact.highest_bug is not None else source.highest_bug
        if thawed or now - self._noted.get(source.name, float("-inf")) >= NOTE_CONTACT_EVERY_S:
            self._noted[source.name] = now
            at_ms = knowledge.now_ms() - contact.age_ms
            await knowledge.ledger.do(
                lambda state: state.contacted(source.name, at_ms, None, source.highest_bug)
            )
        if thawed:
            await self._note(source.name, "thawed", "")

    async def _freeze(self, source: Source, why: str) -> None:
        """Keep the list as it is, and let its age grow: what can't be seen is not gone."""
        if source.frozen == why:
            return
        source.frozen = why
        await self._knowledge.ledger.do(lambda state: state.contacted(source.name, None, why, None))
        await self._note(source.name, "frozen", why)

    async def _begin(self, source: Source, assembly: _Assembly) -> FromGate | None:
        if not 0 <= assembly.head <= MAX_SEQ:
            return await self._refuse(source.name, f"head {assembly.head}: expected 0 to {MAX_SEQ}")
        self._assembling[source.name] = assembly
        return None

    async def _part(self, source: Source, records: tuple[Record, ...]) -> FromGate | None:
        assembly = self._assembling.get(source.name)
        if assembly is None:
            return await self._refuse(source.name, "a part of a snapshot that did not begin")
        problem = first_defect(records)
        if problem or len(assembly.records) + len(records) > MAX_SNAPSHOT:
            del self._assembling[source.name]
            return await self._refuse(
                source.name, problem or f"a snapshot of more than {MAX_SNAPSHOT} records"
            )
        assembly.records += records
        return None

    async def _end(self, source: Source, count: int) -> FromGate:
        assembly = self._assembling.pop(source.name, None)
        if assembly is None or len(assembly.records) != count:
            return await self._refuse(source.name, "the snapshot is not complete")
        snapshot = Snapshot(
            epoch=assembly.epoch,
            head=assembly.head,
            records=tuple(assembly.records),
            request=assembly.request,
        )
        problem = objection(
            source.records,
            source.cursor,
            snapshot,
            canary=self._policy().feed_of(source.name).canary,
            request=source.request,
            accept_drop=source.accept_drop,
        )
        if problem:
            source.refused = problem
            return await self._refuse(source.name, f"the snapshot was not taken: {problem}")
        await self._knowledge.replace(source, Cursor(snapshot.epoch, snapshot.head), snapshot.records)
        self._metrics.count("feed_total", source=source.name, result="snapshot")
        await self._note(source.name, "snapshot", f"{count} records at {snapshot.head}")
        return Applied(source=source.name, cursor=source.cursor)

    def demand(self, source: Source, why: str) -> Resync:
        """Return the demand for a snapshot; the one that is open already is repeated."""
        if source.request is None:
            source.request = self._knowledge.now_ms()
        self._metrics.count("feed_total", source=source.name, result="resync")
        _log.warning("the feed must begin anew", source=source.name, why=why)
        return Resync(source=source.name, request=source.request, why=why)

    async def _refuse(self, source: str, why: str) -> Refused:
        known = source if source in self._sources else "other"
        self._metrics.count("feed_total", source=known, result="refused")
        await self._note(known, "refused", why)
        return Refused(source=source, why=why)

    async def _note(self, source: str, outcome: str, why: str) -> None:
        _log.warning("feed", source=source, outcome=outcome, why=why)
        entry = Entry(
            at_ms=self._knowledge.now_ms(),
            kind="feed",
            repository="",
            actor=source,
            outcome=outcome,
            details={"why": why},
        )
        await self._knowledge.ledger.do(lambda state: state.record([entry], [], ()))
