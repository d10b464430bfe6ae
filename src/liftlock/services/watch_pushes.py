"""Watch all projects: at a ring at once, and every `POLL` whether anybody rang or not.

One fetch at a time for each project; rings that come meanwhile lead to one more. A project that cannot be fetched holds
up no other, and its last error is kept for whoever asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import structlog

from liftlock.domain.pushes.project import Project
from liftlock.domain.pushes.push import Claim
from liftlock.errors import LiftlockError
from liftlock.ports.clock import Clock
from liftlock.ports.doorbells import Doorbells
from liftlock.ports.push_store import PushStore
from liftlock.ports.wakeups import Wakeups
from liftlock.services.observe_push import ObservePush
from liftlock.services.start_decision import StartDecision

CHANNEL: Final = "pushes"
POLL: Final = timedelta(seconds=60)
MAX_AT_ONCE: Final = 4
"""Projects that are fetched at the same time."""
MAX_CLAIMS: Final = 500
MAX_PENDING: Final = 1_000
BURST: Final = 20
"""Fetches of one project in a row before rings have to wait."""
RECOVERY: Final = timedelta(seconds=1)
"""What each further fetch waits for then: anybody may ring, and fetching is work."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class LastLook:
    """When a project was last looked at, and what went wrong then."""

    at: datetime | None = None
    error: str | None = None


@dataclass(slots=True)
class _Watched:
    rung: bool = False
    claims: list[Claim] = field(default_factory=list)
    running: asyncio.Task[None] | None = None
    last: LastLook = field(default_factory=LastLook)
    fetches: float = 0.0
    counted: datetime | None = None


class WatchPushes:
    """Turns rings and time into observed pushes and started decisions."""

    def __init__(
        self,
        store: PushStore,
        observe: ObservePush,
        start: StartDecision,
        doorbells: Doorbells,
        wakeups: Wakeups,
        clock: Clock,
    ) -> None:
        self._store = store
        self._observe = observe
        self._start = start
        self._doorbells = doorbells
        self._wakeups = wakeups
        self._clock = clock
        self._watched: dict[str, _Watched] = {}
        self._at_once = asyncio.Semaphore(MAX_AT_ONCE)
        self._polled: datetime | None = None

    async def ring(self, project: str, claims: Iterable[Claim]) -> None:
        """Look at the project soon. Rings of unknown projects are forgotten, and nobody is told which those are."""
        if await self._store.project(project) is not None:
            self._note(project, claims)
            self._wakeups.wake(CHANNEL)

    def last_look(self, project: str) -> LastLook:
        """Return when the project was last looked at from here, and what went wrong."""
        return self._watched.get(project, _Watched()).last

    async def step(self) -> None:
        """Begin to look at every project that was rung for, and at all of them if it is time; don't wait for them."""
        await self._answer_doorbells()
        now = self._clock.now()
        if self._polled is None or now - self._polled >= POLL - RECOVERY:
            self._polled = now
            for project in await self._store.projects():
                self._note(project.name, ())
        for name, watched in self._watched.items():
            if watched.rung and watched.running is None:
                watched.running = asyncio.create_task(self._look(name, watched))

    async def _answer_doorbells(self) -> None:
        """Note the rings that were left; whatever goes wrong with them, polling goes on."""
        try:
            rings = await self._doorbells.take()
        except Exception:  # noqa: BLE001 -- what strangers leave must not end what finds pushes without them
            _log.exception("the rings that were left could not be taken")
            return
        for ring in rings:
            if await self._store.project(ring.project) is not None:
                self._note(ring.project, ring.claims)

    async def settle(self) -> None:
        """Return when nothing that was begun is running any more."""
        while running := [each.running for each in self._watched.values() if each.running is not None]:
            await asyncio.gather(*running, return_exceptions=True)

    def _note(self, project: str, claims: Iterable[Claim]) -> None:
        watched = self._watched.setdefault(project, _Watched())
        watched.rung = True
        watched.claims = [*watched.claims, *claims][:MAX_CLAIMS]

    async def _look(self, name: str, watched: _Watched) -> None:
        try:
            while watched.rung:
                await self._pace(watched)
                watched.rung = False
                claims, watched.claims = watched.claims, []
                async with self._at_once:
                    watched.last = await self._look_once(name, claims)
        finally:
            watched.running = None

    async def _look_once(self, name: str, claims: list[Claim]) -> LastLook:
        try:
            project = await self._store.project(name)
            if project is not None:
                await self._observe(project, claims)
                await self._decide(project)
        except LiftlockError as error:
            _log.warning(
                "a project could not be looked at", project=name, code=error.code, error=error.message
            )
            return LastLook(self._clock.now(), f"{error.code}: {error.message}")
        except Exception:  # noqa: BLE001 -- a process loop: logged, and the next poll tries again
            _log.exception("a project could not be looked at", project=name)
            return LastLook(self._clock.now(), "InternalServerError: see the control plane's log")
        return LastLook(self._clock.now())

    async def _decide(self, project: Project) -> None:
        """Start every pending decision of the project, those that an earlier process left included.

        Raises:
            LiftlockError: one could not be decided now; the others were.
        """
        first: LiftlockError | None = None
        for push in await self._store.pending(MAX_PENDING):
            if push.project == project.name:
                try:
                    await self._start(project, push)
                except LiftlockError as error:
                    first = first or error
        if first is not None:
            raise first

    async def _pace(self, watched: _Watched) -> None:
        """Return at once for `BURST` fetches in a row, then only after `RECOVERY`."""
        now = self._clock.now()
        if watched.counted is not None:
            watched.fetches = max(0.0, watched.fetches - (now - watched.counted) / RECOVERY)
        watched.counted = now
        watched.fetches += 1
        if watched.fetches > BURST:
            await asyncio.sleep(RECOVERY.total_seconds())
