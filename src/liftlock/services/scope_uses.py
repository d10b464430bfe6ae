"""Which granted scopes are used, without a write for each request; and which are not.

Requests leave what they needed in memory. Now and then each kind of need is worked out once to the grants that it used, and
those that are not known to be used today are stored. A process that is killed forgets a few seconds.

Source: docs/reference/access.md#unused-scopes
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from liftlock.domain.scopes.exercise import Grant, Grants, leaves, unused
from liftlock.domain.scopes.satisfaction import Expression
from liftlock.errors import InputInvalidError
from liftlock.ports.access_store import AccessStore
from liftlock.ports.scope_uses import ScopeUses
from liftlock.services.access_snapshot import STATIC_PREFIX, AccessCache, Snapshot
from liftlock.services.authorize import Caller

MAX_NOTED: Final = 20_000
"""Different needs in memory; of more, those that come first count, until the next time."""
MAX_KNOWN: Final = 300
"""Callers' grants that are kept worked out."""
_ALL: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Unused:
    """`began`: since when uses are written down, None if they are not yet; `holders`: (`role/…` or `client/…`, scopes)."""

    since: datetime
    began: datetime | None
    holders: list[tuple[str, tuple[str, ...]]]


class RecordUses:
    """Implements `services.authorize.Witness`: notes what callers needed, and stores which grants that used."""

    def __init__(self, store: ScopeUses, access: AccessCache) -> None:
        self._store = store
        self._access = access
        self._noted: dict[tuple[tuple[str, ...], str, str], None] = {}
        self._today: tuple[int, set[Grant]] = (0, set())
        self._grants: dict[tuple[int, tuple[str, ...], str], Grants] = {}
        self._begun = False

    def __call__(self, caller: Caller, asked: Expression) -> None:
        """Note that the caller needed what `asked` says, and had it."""
        if len(self._noted) < MAX_NOTED:
            for need in leaves(asked):
                self._noted[caller.own, caller.issuer, need] = None

    async def step(self, now: datetime) -> None:
        """Store what was noted since the last time."""
        noted, self._noted = self._noted, {}
        day = now.toordinal()
        if self._today[0] != day:
            self._today = (day, set())
        snapshot = await self._access.current(now)
        used: set[Grant] = set()
        for own, issuer, need in noted:
            used |= self._used(snapshot, own, issuer, need)
        fresh = {grant for grant in used if grant.holder} - self._today[1]
        if fresh or not self._begun:
            await self._store.note(fresh, now)
            self._begun = True
            self._today[1].update(fresh)

    def _used(self, snapshot: Snapshot, own: tuple[str, ...], issuer: str, need: str) -> set[Grant]:
        """Return the grants: those of roles, and of the client, whose stored scopes may be others than those it acts with."""
        found = self._of(snapshot, own, "").exercised(need)
        client = snapshot.client(issuer) if issuer and not issuer.startswith(STATIC_PREFIX) else None
        if client is not None:
            stored = self._of(snapshot, client.scopes, f"client/{issuer}")
            for grant in [each for each in found if not each.holder]:
                found |= stored.exercised(grant.scope)
        return found

    def _of(self, snapshot: Snapshot, own: tuple[str, ...], holder: str) -> Grants:
        key = (snapshot.version, own, holder)
        known = self._grants.get(key)
        if known is None:
            known = self._grants[key] = Grants(snapshot.book, own, holder)
            while len(self._grants) > MAX_KNOWN:
                del self._grants[next(iter(self._grants))]
        return known


class FindUnused:
    """Lists granted scopes that nobody used."""

    def __init__(self, store: ScopeUses, access_store: AccessStore) -> None:
        self._store = store
        self._access_store = access_store

    async def __call__(self, caller: Caller, since: datetime, now: datetime) -> Unused:
        """Return what no one used since the day of `since`; all of it is from roles and clients as they are now.

        Raises:
            InputInvalidError: `since` is in the future.
        """
        caller.require(["auth:list-clients", "auth:list-roles"])
        if since > now:
            raise InputInvalidError("since: expected a time that has been")
        roles = await self._access_store.list_roles(prefix="", after="", limit=_ALL)
        clients = await self._access_store.list_clients(prefix="", after="", limit=_ALL)
        stored = [(f"role/{role.role_id}", role.scopes) for role in roles]
        stored += [(f"client/{client.client_id}", client.scopes) for client in clients]
        used = await self._store.since(since)
        return Unused(since, await self._store.began(), unused(stored, used))


EVERY: Final = timedelta(seconds=10)
"""How often what was noted is stored."""
