"""Remove hooks of actions that nothing refers to any more and nobody has fired for long.

A hook stays while a branch's recorded head has its `.taskcluster.yml`, and then for `KEPT` after it was last fired or
made. Who admitted its content stays recorded: should the content come back, the hook does so with that consent.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import msgspec

from liftlock.domain.actions.naming import parse_name
from liftlock.ports.clock import Clock
from liftlock.ports.envelope import AuditRecord, Envelope
from liftlock.ports.hook_store import HookRecord, HookStore
from liftlock.ports.leases import Leases
from liftlock.ports.push_store import PushStore

KEPT: Final = timedelta(days=60)
LEASE: Final = "retire hooks"
LEASE_DURATION: Final = timedelta(seconds=60)
BATCH: Final = 500
ACTOR: Final = "liftlock/hooks"


class RetireHooks:
    """Looks through old hooks; of several control planes, the one that holds the lease."""

    def __init__(
        self, hooks: HookStore, pushes: PushStore, leases: Leases, clock: Clock, *, holder: str
    ) -> None:
        self._hooks = hooks
        self._pushes = pushes
        self._leases = leases
        self._clock = clock
        self._holder = holder

    async def step(self) -> int:
        """Remove what has become unused; return how many hooks went."""
        now = self._clock.now()
        if not await self._leases.hold(LEASE, self._holder, now=now, duration=LEASE_DURATION):
            return 0
        gone, after = 0, ("", "")
        while found := await self._hooks.unused(now - KEPT, after, BATCH):
            for hook in found:
                gone += await self._retire(hook)
            after = found[-1].hook_group_id, found[-1].hook_id
        return gone

    async def _retire(self, hook: HookRecord) -> bool:
        now = self._clock.now()
        name = parse_name(hook.hook_group_id, hook.hook_id)
        if name is None:
            return False
        content = await self._pushes.content(name.trust_domain, name.level, name.short)
        if content is not None:
            for level in (1, 2, 3) if name.pull else (name.level,):
                if await self._pushes.is_at_a_head(name.trust_domain, level, content.digest):
                    return False
            known = await self._pushes.admission(
                name.trust_domain, name.level, name.admitted_as, content.digest
            )
            if known is not None:
                await self._pushes.put_admission(
                    msgspec.structs.replace(known, hook_digest=""), Envelope(now)
                )
        audit = AuditRecord(ACTOR, "hooks.retire", f"hook/{hook.name}", "changed", {"version": hook.version})
        return await self._hooks.delete(hook.hook_group_id, hook.hook_id, Envelope(now, audit=(audit,)))
