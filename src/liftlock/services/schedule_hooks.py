"""Fire the hooks whose time has come: one step of the loop that does so."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import structlog

from liftlock.errors import LiftlockError, StaleSnapshotError, StorageError
from liftlock.ports.hook_store import HookRecord, HookStore
from liftlock.ports.leases import Leases
from liftlock.services.authorize import Authorizer
from liftlock.services.fire_hook import FireHook

LEASE: Final = "hooks"
LEASE_DURATION: Final = timedelta(seconds=60)
BATCH: Final = 100
_ATTEMPTS: Final = 3

_log = structlog.get_logger(__name__)


class ScheduleHooks:
    """Fires due hooks; of several control planes, the one that holds the lease.

    The lease only spares work: what keeps a fire from happening twice is that each advances the schedule from the
    time it fires for, in the transaction that creates its task.
    """

    def __init__(
        self, hooks: HookStore, fire: FireHook, authorizer: Authorizer, leases: Leases, *, holder: str
    ) -> None:
        """Make a scheduler; `holder` is unique among the control planes."""
        self._hooks = hooks
        self._fire = fire
        self._authorizer = authorizer
        self._leases = leases
        self._holder = holder

    async def step(self, now: datetime) -> int:
        """Fire what is due at `now`, at most `BATCH` hooks, and return how many fired; to be called every second or so.

        A hook that missed several times fires once. One that fails is recorded, and does not keep others waiting.
        """
        if not await self._leases.hold(LEASE, self._holder, now=now, duration=LEASE_DURATION):
            return 0
        return sum([await self._fire_one(record, now) for record in await self._hooks.due(now, BATCH)])

    async def _fire_one(self, record: HookRecord, now: datetime) -> bool:
        for _ in range(_ATTEMPTS):
            try:
                return (await self._fire.by_schedule(record, now)).status is not None
            except StaleSnapshotError:
                self._authorizer.expire()
                fresh = await self._hooks.hook(record.hook_group_id, record.hook_id)
                if fresh is None or fresh.next_fire is None or fresh.next_fire > now:
                    return False
                record = fresh
            except StorageError:
                raise
            except LiftlockError as error:
                _log.warning("a scheduled hook failed", hook=record.name, code=error.code)
                return False
        return False
