"""Brings what a tracker tells into feedd's inbox: durable first, in order, once.

Two ways: the shipped extension's numbered feed, which loses nothing; and polling of a tracker without it, which finds
everything in the end, and numbers what it finds itself.

Source: docs/reference/gate-feed.md#following
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec
import structlog

from liftlock.domain.pushes.bug_state import BugState
from liftlock.domain.pushes.feed import Record
from liftlock.domain.pushes.feed_settings import SourceSettings
from liftlock.domain.pushes.selectors import assess
from liftlock.domain.pushes.tracker_event import TrackerEvent, gate_epoch
from liftlock.domain.pushes.tracker_page import Page, Place, Progress, asked_from, progress
from liftlock.domain.pushes.tracker_webhook import ANY
from liftlock.errors import InputInvalidError
from liftlock.ports.clock import Clock
from liftlock.ports.feed_inbox import FeedInbox, Known
from liftlock.ports.tracker import Tracker, TrackerAccessError, TrackerUnavailableError
from liftlock.values import json
from liftlock.values.instants import parse_instant

_log = structlog.get_logger(__name__)
OVERLAP: Final = timedelta(minutes=10)
"""Polling looks so far back: a change is seen only after its transaction has committed, under the time it began."""
FIRST_LOOK: Final = timedelta(hours=24)
READERS: Final = 8
CANARY_EVERY_S: Final = 60.0
GAPS_BEFORE_REBASE: Final = 10
RING_GAP_S: Final = 0.1
ANY_EVERY_S: Final = 3.0
"""Whoever rings without a number brings about one poll in that time at most."""
READS_A_SECOND: Final = 5.0
MAX_READS: Final = 50
"""Bugs that are read because of rings: so many at once, and so many a second in the long run."""
MAX_RUNG: Final = 200
"""Bugs that are looked at because of rings in one round; beyond them everything is polled."""


@dataclass(slots=True)
class Health:
    """What the deliverer tells the gate. `contacted`: monotonic seconds of the last good answer, None: none yet."""

    contacted: float | None = None
    frozen: str | None = None
    """Why the list is frozen, in the tracker's words: for feedd's own log alone."""
    code: str | None = None
    """The same as the gate may learn it: one of `feed.FROZEN`."""
    highest_bug: int | None = None


class TrackerIntake:
    """Follows one tracker. `moved` is set whenever the inbox or the health changed."""

    def __init__(self, settings: SourceSettings, tracker: Tracker, inbox: FeedInbox, clock: Clock) -> None:
        self.settings = settings
        self.health = Health()
        self.moved = asyncio.Event()
        self.counts: Counter[str] = Counter()
        self._tracker = tracker
        self._inbox = inbox
        self._clock = clock
        self._gaps = 0
        self._began = False
        self._due: dict[str, float] = {}
        self._rung: set[int] = set()
        self._reads = float(MAX_READS)
        self._reads_at = 0.0
        self._catching_up = False
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()

    @property
    def source(self) -> str:
        """Return the tracker's name in the gate's policy."""
        return self.settings.name

    def place(self) -> Place | None:
        """Return how far the tracker was read."""
        return self._inbox.place(self.source)

    def epoch(self, place: Place) -> str:
        """Return the name of what is numbered now, as the gate knows it."""
        return gate_epoch(place.epoch, place.generation, self.settings.selectors)

    async def follow(self) -> None:
        """Take what is new, for ever. The tracker being down changes nothing but the age of the list."""
        while True:
            try:
                await self.round()
            except TrackerAccessError as error:
                self.counts["refusals"] += 1
                self._freeze(error.message, str(error.details.get("code", "no-access")))
            except TrackerUnavailableError as error:
                self.counts["failures"] += 1
                _log.warning("the tracker does not answer", source=self.source, error=error.message)
            await self._pause()

    async def _pause(self) -> None:
        """Wait for the interval, or less if somebody rings; anybody may ring, so never less than `RING_GAP_S`."""
        await asyncio.sleep(min(RING_GAP_S, self.settings.interval_s))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.interval_s):
                await self._wake.wait()
        self._wake.clear()

    def rung(self, bug: int) -> None:
        """Look at a bug now; `ANY`: at everything. It is a hint of anybody's, and only ever leads to reading."""
        if len(self._rung) >= MAX_RUNG:
            self._rung = {ANY}
        self._rung.add(bug)
        self.counts["rings"] += 1
        self._wake.set()

    def catch_up(self) -> None:
        """Look at everything now, for nobody listened until now; the log says when that is done."""
        self._catching_up = True
        self.rung(ANY)

    async def round(self) -> None:
        """Ask once for what is new; one round at a time. Raises as `_round`."""
        async with self._turn:
            catching_up = self._catching_up
            await self._round()
            if catching_up:
                self._catching_up = False
                _log.info("caught up", source=self.source)

    async def pushed(self, events: Sequence[TrackerEvent]) -> bool:
        """Take events of one epoch, by their number, that the tracker sent by itself; False if some before them are missing.

        Raises:
            TrackerUnavailableError, TrackerAccessError: one came without a state, and it could not be read.
            StorageError: the inbox can't be written: feedd must end.
        """
        async with self._turn:
            place = self.place()
            newest = events[-1].seq
            head = max(newest, place.head) if place is not None and place.epoch == events[0].epoch else newest
            found = progress(place, Page(epoch=events[0].epoch, head=head, floor=0, events=tuple(events)))
            match found.do:
                case "rebase":
                    self._rebase(found)
                case "append":
                    if found.events:
                        await self._take(found.events)
            self.moved.set()
            now = self.place()
            return now is not None and now.head >= newest

    async def _round(self) -> None:
        """Ask once for what is new.

        Raises:
            TrackerUnavailableError, TrackerAccessError: nothing was taken.
            StorageError: the inbox can't be written: feedd must end.
        """
        highest = self.health.highest_bug
        if self._is_due("canary", CANARY_EVERY_S) or self.health.frozen:
            await self._see_canary()
            highest = await self._tracker.highest()
        if self.settings.mode == "extension":
            await self._follow_pages()
        else:
            await self._poll_or_look()
        if self.health.frozen:
            _log.warning("the tracker's access is back", source=self.source)
        self.counts["rounds"] += 1
        self.health = Health(contacted=asyncio.get_running_loop().time(), highest_bug=highest)
        self.moved.set()

    def _freeze(self, why: str, code: str) -> None:
        if self.health.frozen != why:
            _log.error("the list is frozen: it can't be believed to be complete", source=self.source, why=why)
        self.health.frozen, self.health.code = why, code
        self._due.pop("canary", None)
        self.moved.set()

    async def _see_canary(self) -> None:
        canary = self.settings.canary
        if canary is None:
            return
        state = await self._tracker.read(canary)
        if (
            state is None
            or not state.readable
            or not assess(self.settings.selectors, canary, 0, state).sensitive
        ):
            raise TrackerAccessError(
                f"the canary, bug {canary}, is not seen as sensitive", code="canary-not-seen"
            )

    def _is_due(self, what: str, every_s: float) -> bool:
        now = asyncio.get_running_loop().time()
        if now < self._due.get(what, float("-inf")):
            return False
        self._due[what] = now + every_s
        return True

    # --- the extension's feed ----------------------------------------------------------------------------------------

    async def _follow_pages(self) -> None:
        if self._is_due("audit", self.settings.audit_s) and self._began:
            self._rebase_at_place("all is read anew now and then, in case that something was not told")
        self._began = True
        while True:
            place = self.place()
            page = await self._tracker.page(asked_from(place))
            found = progress(place, page)
            match found.do:
                case "rebase":
                    self._rebase(found)
                    return
                case "ask-again":
                    self._gap(found, page.epoch, page.head)
                    return
                case "append":
                    self._gaps = 0
            if not found.events:
                return
            await self._take(found.events)
            if found.events[-1].seq >= page.head:
                return

    def _gap(self, found: Progress, epoch: str, head: int) -> None:
        self._gaps += 1
        self.counts["gaps"] += 1
        _log.warning("a gap in the tracker's feed", source=self.source, why=found.why, times=self._gaps)
        if self._gaps >= GAPS_BEFORE_REBASE:
            self._gaps = 0
            self._rebase(Progress(do="rebase", epoch=epoch, head=head, why="a gap does not close"))

    def _rebase_at_place(self, why: str) -> None:
        place = self.place()
        if place is not None:
            self._rebase(Progress(do="rebase", epoch=place.epoch, head=place.head, why=why))

    def _rebase(self, found: Progress) -> None:
        _log.warning("the feed begins anew", source=self.source, why=found.why, head=found.head)
        self.counts["beginnings"] += 1
        self._inbox.rebase(self.source, found.epoch, found.head)

    async def _take(self, events: Iterable[TrackerEvent]) -> None:
        whole = [
            event
            if event.state is not None
            else msgspec.structs.replace(event, state=await self._state(event.bug))
            for event in events
        ]
        known = {event.bug: self.known(event.bug, event.state) for event in whole}
        self._inbox.append(self.source, whole, known)
        self.counts["events"] += len(whole)

    async def _state(self, bug: int) -> BugState:
        return await self._tracker.read(bug) or BugState()

    # --- polling -----------------------------------------------------------------------------------------------------

    async def _poll_or_look(self) -> None:
        """Poll if it is time; if only bugs were rung for, read those. Anybody may ring: what is too much waits."""
        due = self._is_due("poll", self.settings.interval_s)
        asked = ANY in self._rung and self._is_due("any", ANY_EVERY_S)
        if due or asked or self.place() is None:
            self._rung.discard(ANY)
            await self._poll()
        await self._take_changed(self._affordable(), None)
        if self._rung:
            later = ANY_EVERY_S if self._rung == {ANY} else 1.0
            asyncio.get_running_loop().call_later(later, self._wake.set)

    def _affordable(self) -> list[int]:
        """Take as many of the bugs that were rung for as may be read now."""
        now = asyncio.get_running_loop().time()
        self._reads = min(MAX_READS, self._reads + READS_A_SECOND * (now - self._reads_at))
        self._reads_at = now
        taken = sorted(self._rung - {ANY})[: int(self._reads)]
        self._reads -= len(taken)
        self._rung.difference_update(taken)
        return taken

    async def _poll(self) -> None:
        place = self.place()
        now = self._clock.now()
        if place is None:
            self._inbox.rebase(self.source, f"poll-{int(now.timestamp())}", 0)
            place = self.place()
        watermark = self._watermark(place.watermark if place else "")
        found = await self._tracker.changed((watermark - OVERLAP).strftime("%Y-%m-%dT%H:%M:%SZ"))
        await self._take_changed(
            [each.bug for each in found],
            max([*(each.at for each in found), place.watermark if place else ""]),
        )
        if self._is_due("reconcile", self.settings.reconcile_s):
            await self._reconcile(everything=self._is_due("audit", self.settings.audit_s))

    def _watermark(self, text: str) -> datetime:
        if text:
            try:
                return parse_instant(text, what="last_change_time")
            except InputInvalidError as error:
                raise TrackerUnavailableError(error.message) from error
        return self._clock.now() - FIRST_LOOK

    async def _reconcile(self, *, everything: bool) -> None:
        """Read again what searches find and we do not hold, and the reverse; a bug that is not found is not cleared."""
        known = self._inbox.known(self.source)
        held = {bug for bug, each in known.items() if each.matters}
        times = await self._listed()
        listed = times.keys()
        place = self.place()
        # Without a change to go on from, the newest of these: our own clock may be wrong, and the tracker's counts.
        first = max(times.values(), default=None) if place is not None and not place.watermark else None
        await self._take_changed(sorted(listed | held if everything else listed ^ held), first)

    async def _take_changed(self, bugs: Iterable[int], watermark: str | None) -> None:
        states = await self.read_all(bugs)
        place, before = self.place(), self._inbox.known(self.source)
        if place is None:
            return
        # A bug of which nothing is to be said, and of which nothing was said before, leaves no trace: anybody may ring.
        states = {
            bug: state for bug, state in states.items() if bug in before or self._says_something(bug, state)
        }
        known = {bug: self.known(bug, state) for bug, state in states.items()}
        events = [
            TrackerEvent(
                source=self.source, epoch=place.epoch, seq=place.head + at, bug=bug, why="poll", state=state
            )
            for at, (bug, state) in enumerate(
                ((bug, state) for bug, state in states.items() if before.get(bug) != known[bug]), 1
            )
        ]
        self._inbox.append(self.source, events, known, watermark=watermark)
        self.counts["events"] += len(events)

    # --- snapshots and re-reads --------------------------------------------------------------------------------------

    async def _listed(self) -> dict[int, str]:
        """Return the time of the last change of each bug that the searches find."""
        found: dict[int, str] = {}
        for query in self.settings.search:
            found |= {each.bug: each.at for each in await self._tracker.search(query)}
        return found

    async def read_all(self, bugs: Iterable[int]) -> dict[int, BugState]:
        """Return the states of bugs as they are now, a few at a time; one that does not exist has an empty state."""
        places = asyncio.Semaphore(READERS)

        async def read(bug: int) -> tuple[int, BugState]:
            async with places:
                return bug, await self._state(bug)

        try:
            async with asyncio.TaskGroup() as group:
                reading = [group.create_task(read(bug)) for bug in bugs]
        except* (TrackerUnavailableError, TrackerAccessError) as errors:
            raise errors.exceptions[0] from None
        return dict(each.result() for each in reading)

    async def snapshot(self) -> dict[int, BugState]:
        """Return every bug that may matter, read now: what searches find and what mattered before.

        Raises:
            TrackerUnavailableError, TrackerAccessError: there is none.
        """
        await self._see_canary()
        held = {bug for bug, each in self._inbox.known(self.source).items() if each.matters}
        canary = {self.settings.canary} if self.settings.canary is not None else set()
        states, listed = await self._told()
        return states | await self.read_all(sorted((listed | held | canary) - states.keys()))

    async def _told(self) -> tuple[dict[int, BugState], set[int]]:
        """Return the states that the tracker tells along with what it finds, and the bugs that it only lists."""
        states: dict[int, BugState] = {}
        listed: set[int] = set()
        for query in self.settings.search:
            whole = await self._tracker.whole(query) if self.settings.mode == "extension" else None
            if whole is None:
                listed |= {each.bug for each in await self._tracker.search(query)}
            else:
                states |= whole
        return states, listed

    def remember(self, states: Mapping[int, BugState]) -> None:
        """Note that the gate knows these states."""
        self._inbox.know(self.source, {bug: self.known(bug, state) for bug, state in states.items()})

    async def reread(self, bug: int) -> Record | None:
        """Return what the bug is now, under the head that was known before, or None if that could not be learnt."""
        place = self.place()
        if place is None or self.health.frozen:
            return None
        try:
            return assess(self.settings.selectors, bug, place.head, await self._state(bug))
        except (TrackerUnavailableError, TrackerAccessError):
            return None

    def _says_something(self, bug: int, state: BugState) -> bool:
        return not assess(self.settings.selectors, bug, 0, state).says_nothing

    def known(self, bug: int, state: BugState | None) -> Known:
        """Return what is remembered of a bug that was read."""
        record = assess(self.settings.selectors, bug, 0, state or BugState())
        return Known(json.digest(state), matters=record.reason != "ordinary" or bool(record.uplift))
