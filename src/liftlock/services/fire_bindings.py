"""Fire the hooks whose bindings match an event: one step of the loop that does so.

Each fire is recorded with the event's id in the transaction that creates its task: so an event fires a hook once, also
when a control plane dies in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
import structlog

from liftlock.domain.events.bindings import Binding, Wanted
from liftlock.domain.events.chains import refusal
from liftlock.domain.events.naming import Message
from liftlock.errors import LiftlockError, StaleSnapshotError, StorageError
from liftlock.ports.clock import Clock
from liftlock.ports.event_log import CHANNEL, EventCursors, EventFire, EventLog
from liftlock.ports.hook_store import HookRecord, HookStore
from liftlock.ports.leases import Leases
from liftlock.ports.wakeups import Wakeups
from liftlock.services.authorize import Authorizer
from liftlock.services.fire_hook import FireHook
from liftlock.values.instants import to_ms

READER: Final = "hook bindings"
LEASE: Final = timedelta(seconds=60)
PAGE: Final = 200
LOOK_EVERY_S: Final = 1.0
SHORT_WAIT_S: Final = 0.02
KEPT: Final = timedelta(days=35)
"""How long it is known which event fired what: longer than a task of the default definition lives."""
_ATTEMPTS: Final = 3
_MINUTE: Final = timedelta(minutes=1)

_log = structlog.get_logger(__name__)


class FireBindings:
    """Fires hooks by events; of several control planes, the one that holds the lease."""

    def __init__(
        self,
        log: EventLog,
        cursors: EventCursors,
        hooks: HookStore,
        fire: FireHook,
        authorizer: Authorizer,
        leases: Leases,
        wakeups: Wakeups,
        clock: Clock,
        holder: str,
    ) -> None:
        self._log = log
        self._cursors = cursors
        self._hooks = hooks
        self._fire = fire
        self._authorizer = authorizer
        self._leases = leases
        self._wakeups = wakeups
        self._clock = clock
        self._holder = holder
        self._told: dict[str, datetime] = {}
        self._idle_at: int | None = None
        """Where the log ended when no hook had bindings: what happened before fires nothing."""

    async def step(self) -> None:
        """Follow the log as long as there are hooks with bindings and this process holds the lease."""
        with self._wakeups.listen(CHANNEL) as ticket:
            while hooks := await self._hooks.bound():
                now = self._clock.now()
                if not await self._leases.hold(READER, self._holder, now=now, duration=LEASE):
                    return
                waits = await self.fire_new(hooks)
                await asyncio.sleep(SHORT_WAIT_S)
                if not waits:
                    await ticket.wait(LOOK_EVERY_S)
        self._idle_at = await self._log.newest()

    async def forget(self) -> None:
        """Forget old fires."""
        await self._cursors.forget_fires(to_ms(self._clock.now() - KEPT))

    async def fire_new(self, hooks: Sequence[HookRecord]) -> bool:
        """Fire `hooks` for what is new in the log; return whether something waits for transactions that still run."""
        known = [one for one in (await self._cursors.place(READER), self._idle_at) if one is not None]
        place = max(known) if known else await self._log.newest()
        if not known:
            await self._cursors.move(READER, place)
        wanted = [(hook, Wanted(msgspec.convert(hook.document["bindings"], list[Binding]))) for hook in hooks]
        page = await self._log.after(place, PAGE)
        for message in page.messages:
            for hook, bindings in wanted:
                if message in bindings:
                    await self._fire_one(hook, message)
        if page.upto > place:
            await self._cursors.move(READER, page.upto)
        return page.waits or page.more

    async def _fire_one(self, hook: HookRecord, message: Message) -> None:
        now = self._clock.now()
        chain = await self._cursors.chain_of(_tasks_of(message))
        recent = await self._cursors.fires_since(hook.name, to_ms(now - _MINUTE))
        why_not = refusal(hook.name, chain, recent)
        if why_not is not None:
            await self._note_refusal(hook, why_not, now)
            return
        fire = EventFire(hook.name, message.id, "", (*chain, hook.name), to_ms(now))
        for _ in range(_ATTEMPTS):
            try:
                await self._fire.by_event(hook, message.payload, fire, now)
            except StaleSnapshotError:
                self._authorizer.expire()
                continue
            except StorageError:
                raise
            except LiftlockError as error:
                _log.warning("a hook that an event fired failed", hook=hook.name, code=error.code)
            return

    async def _note_refusal(self, hook: HookRecord, why_not: str, now: datetime) -> None:
        """Record the refusal, once a minute for each hook: events may come by the thousand."""
        told = self._told.get(hook.name)
        if told is None or now - told >= _MINUTE:
            self._told[hook.name] = now
            _log.warning("an event did not fire a hook", hook=hook.name, reason=why_not)
            await self._fire.note_refused_event(hook, why_not, now)


def _tasks_of(message: Message) -> list[str]:
    """Return the ids that may be those of tasks that hooks made: the task's, and its group's, which is its first task's."""
    status = message.payload.get("status", message.payload)
    return [str(status[name]) for name in ("taskId", "taskGroupId") if name in status]
