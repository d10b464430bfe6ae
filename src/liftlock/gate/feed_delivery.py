"""Delivers the inbox to the gate over one link: in order, again until it is acknowledged, snapshots on demand.

Source: docs/reference/gate-feed.md#delivery
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from liftlock.domain.pushes.bug_state import BugState
from liftlock.domain.pushes.feed import Contact, Cursor
from liftlock.domain.pushes.selectors import assess
from liftlock.domain.pushes.tracker_event import crossing
from liftlock.domain.pushes.tracker_page import Place
from liftlock.errors import StorageError
from liftlock.gate.tracker_intake import TrackerIntake
from liftlock.ports.feed_inbox import FeedInbox
from liftlock.ports.gate_feed import (
    PROTOCOL,
    Applied,
    Contacted,
    FromGate,
    Gap,
    GateLink,
    Records,
    Refused,
    Reread,
    Resync,
    SnapshotBegins,
    SnapshotEnds,
    SnapshotPart,
    WantReread,
    Where,
)
from liftlock.ports.tracker import TrackerAccessError, TrackerUnavailableError

_log = structlog.get_logger(__name__)
BATCH: Final = 60
"""Records of the greatest size of so many fit into a line of the link."""
CONTACT_EVERY_S: Final = 2.0
ANSWER_S: Final = 60.0
RETRY_REFUSED_S: Final = 30.0
REREAD_S: Final = 1.4
Connect = Callable[[], Awaitable[GateLink]]


@dataclass(slots=True)
class _Standing:
    """What the gate said of one source. `not_before`: monotonic seconds until which a refusal is not tried again."""

    cursor: Cursor | None = None
    request: int | None = None
    not_before: float = float("-inf")
    contacted_at: float = float("-inf")
    frozen: str | None = None
    """What the gate was last told of the tracker's access: it takes no records while it believes the list frozen."""


class FeedDelivery:
    """One gate, all sources. `run` serves one link to its end; the caller connects again."""

    def __init__(self, intakes: Mapping[str, TrackerIntake], inbox: FeedInbox, link: GateLink) -> None:
        self._intakes = intakes
        self._inbox = inbox
        self._link = link
        self._standing: dict[str, _Standing] = {}
        self._answers: asyncio.Queue[FromGate | None] = asyncio.Queue()
        self._rereads: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve the link until it ends.

        Raises:
            StorageError: the link broke, or the inbox can't be read.
        """
        where = await self._link.receive()
        if not isinstance(where, Where) or where.protocol != PROTOCOL:
            why = where.why if isinstance(where, Refused) else f"expected protocol {PROTOCOL}"
            raise StorageError(f"the gate does not take this feed: {why}")
        for name in self._intakes:
            if name not in where.cursors and name not in where.requests:
                _log.error("the gate's policy has no source of that name", source=name)
            self._standing[name] = _Standing(where.cursors.get(name), where.requests.get(name))
        listening = asyncio.create_task(self._listen())
        try:
            while not listening.done():
                for intake in self._intakes.values():
                    await self._serve(intake)
                await self._wait()
            await listening
        finally:
            for task in (listening, *self._rereads):
                task.cancel()
            await asyncio.gather(listening, *self._rereads, return_exceptions=True)

    async def _wait(self) -> None:
        """Wait until there may be something to do: an intake moved, or a contact is due."""
        moved = [asyncio.create_task(intake.moved.wait()) for intake in self._intakes.values()]
        try:
            await asyncio.wait(moved, timeout=CONTACT_EVERY_S / 2, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in moved:
                task.cancel()
        for intake in self._intakes.values():
            intake.moved.clear()

    # --- what the gate says ------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        try:
            while (message := await self._link.receive()) is not None:
                if isinstance(message, WantReread):
                    task = asyncio.create_task(self._reread(message))
                    self._rereads.add(task)
                    task.add_done_callback(self._rereads.discard)
                    continue
                self._hear(message)
                self._answers.put_nowait(message)
        finally:
            self._answers.put_nowait(None)

    def _hear(self, message: FromGate) -> None:
        standing = self._standing.get(getattr(message, "source", ""))
        if standing is None:
            return
        match message:
            case Applied(cursor=cursor) | Gap(cursor=cursor):
                standing.cursor = cursor
            case Resync(request=request, why=why):
                if standing.request != request:
                    _log.warning("the gate wants a snapshot", why=why)
                    standing.not_before = float("-inf")
                standing.request = request
                for intake in self._intakes.values():
                    intake.moved.set()
            case Refused(source=source, why=why):
                _log.error("the gate refused what the feed says", source=source, why=why)
                standing.not_before = asyncio.get_running_loop().time() + RETRY_REFUSED_S
            case _:
                return

    async def _answered(self, source: str) -> FromGate:
        """Return the gate's next answer about a source; raises StorageError if none comes."""
        try:
            async with asyncio.timeout(ANSWER_S):
                while (message := await self._answers.get()) is not None:
                    if getattr(message, "source", "") == source:
                        return message
        except TimeoutError as error:
            raise StorageError("the gate does not answer") from error
        raise StorageError("the link to the gate ended")

    async def _reread(self, wanted: WantReread) -> None:
        intake = self._intakes.get(wanted.source)
        record = None
        if intake is not None:
            intake.counts["rereads"] += 1
            try:
                async with asyncio.timeout(REREAD_S):
                    record = await intake.reread(wanted.bug)
            except TimeoutError:
                _log.warning("the tracker is too slow for a re-read", source=wanted.source)
        await self._link.send(Reread(source=wanted.source, id=wanted.id, record=record))

    # --- what the gate is told ---------------------------------------------------------------------------------------

    async def _serve(self, intake: TrackerIntake) -> None:
        standing, place = self._standing[intake.source], intake.place()
        now = asyncio.get_running_loop().time()
        if place is None:
            return
        epoch = intake.epoch(place)
        if intake.health.frozen != standing.frozen:
            standing.contacted_at = float("-inf")
            await self._contact(intake, standing, place, epoch)
        if intake.health.frozen is None:
            if standing.request is not None:
                if now >= standing.not_before:
                    await self._snapshot(intake, standing, place)
            else:
                await self._events(intake, standing, epoch)
        await self._contact(intake, standing, place, epoch)

    async def _events(self, intake: TrackerIntake, standing: _Standing, epoch: str) -> None:
        """Send what the gate lacks; stop at the first answer that is no progress."""
        while standing.cursor is not None and standing.cursor.epoch == epoch and standing.request is None:
            self._inbox.acknowledge(intake.source, standing.cursor.seq)
            events = self._inbox.after(intake.source, standing.cursor.seq, BATCH)
            if not events or asyncio.get_running_loop().time() < standing.not_before:
                return
            records = crossing(intake.settings.selectors, events)
            await self._link.send(Records(source=intake.source, epoch=epoch, records=records))
            before = standing.cursor.seq
            if not isinstance(await self._answered(intake.source), Applied) or standing.cursor.seq <= before:
                return

    async def _contact(self, intake: TrackerIntake, standing: _Standing, place: Place, epoch: str) -> None:
        health, now = intake.health, asyncio.get_running_loop().time()
        if (
            health.contacted is None and health.frozen is None
        ) or now < standing.contacted_at + CONTACT_EVERY_S:
            return
        standing.contacted_at, standing.frozen = now, health.frozen
        contact = Contact(
            epoch=epoch,
            head=place.head,
            floor=place.floor,
            age_ms=int(1000 * (now - health.contacted)) if health.contacted is not None else 0,
            frozen=health.code,
            highest_bug=health.highest_bug,
        )
        await self._link.send(Contacted(source=intake.source, contact=contact))
        await self._answered(intake.source)

    async def _snapshot(self, intake: TrackerIntake, standing: _Standing, place: Place) -> None:
        """Read everything after the head is known, send it, and go on from that head."""
        request = standing.request
        standing.not_before = asyncio.get_running_loop().time() + RETRY_REFUSED_S
        try:
            states = await intake.snapshot()
        except (TrackerUnavailableError, TrackerAccessError) as error:
            _log.warning("there is no snapshot now", source=intake.source, error=error.message)
            standing.not_before = asyncio.get_running_loop().time() + intake.settings.interval_s
            return
        epoch = intake.epoch(place)
        await self._link.send(
            SnapshotBegins(source=intake.source, epoch=epoch, head=place.head, request=request)
        )
        await self._parts(intake, states, place.head)
        await self._link.send(SnapshotEnds(source=intake.source, count=len(states)))
        while True:
            answer = await self._answered(intake.source)
            if isinstance(answer, Refused):
                return
            if isinstance(answer, Applied) and answer.cursor == Cursor(epoch, place.head):
                intake.remember(states)
                intake.counts["snapshots"] += 1
                standing.request = None if standing.request == request else standing.request
                standing.not_before = float("-inf")
                return

    async def _parts(self, intake: TrackerIntake, states: Mapping[int, BugState], head: int) -> None:
        selectors = intake.settings.selectors
        records = (assess(selectors, bug, head, state) for bug, state in states.items())
        while part := tuple(itertools.islice(records, BATCH)):
            await self._link.send(SnapshotPart(source=intake.source, records=part))
