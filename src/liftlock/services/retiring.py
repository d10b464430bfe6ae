"""Scopes that are being taken away: they satisfy still, and whoever would be refused without them is told, each time.

What is told is in the answer's header, in the log, and, added up every few seconds, in the audit log and a list.

Source: docs/reference/access.md#retiring-scopes
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Final

import structlog

from liftlock.domain.scopes.exercise import leaves
from liftlock.domain.scopes.roles import Role, RoleBook
from liftlock.domain.scopes.satisfaction import Expression
from liftlock.errors import InputInvalidError, NotFoundError
from liftlock.ports.access_store import AccessStore
from liftlock.ports.envelope import AuditRecord, Envelope, Event
from liftlock.ports.retiring import RetiringStore, RetiringUse
from liftlock.services.access_snapshot import AccessCache, Snapshot
from liftlock.services.authorize import Caller

ACTOR: Final = "liftlock/access"
MAX_NOTED: Final = 1_000
"""Different uses between two steps; of more, the first count."""
MAX_LISTED: Final = 1_000
_log = structlog.get_logger(__name__)


class Retiring:
    """Marks scopes as retiring, and shows who still needs them."""

    def __init__(self, store: RetiringStore, access_store: AccessStore) -> None:
        self._store = store
        self._access_store = access_store

    async def put(self, caller: Caller, role_id: str, scopes: tuple[str, ...], now: datetime) -> None:
        """Say which of the role's scopes are retiring, none for none.

        Raises:
            RefusedError: the caller lacks `auth:update-role:<roleId>`.
            NotFoundError, InputInvalidError: there is no such role; it does not have one of the scopes.
        """
        caller.require(f"auth:update-role:{role_id}")
        role = await self._access_store.role(role_id)
        if role is None and scopes:
            raise NotFoundError(f"role {role_id} does not exist")
        missing = [scope for scope in scopes if role is not None and scope not in role.scopes]
        if missing:
            raise InputInvalidError(f"role {role_id} does not have the scope {missing[0][:200]!r}")
        audit = caller.record("auth.putRetiring", f"role/{role_id}", scopes=list(scopes))
        await self._store.put(role_id, scopes, caller.envelope(now, audit))

    async def marked(self, caller: Caller) -> dict[str, tuple[str, ...]]:
        """Return role id → its retiring scopes."""
        caller.require("auth:list-roles")
        return await self._store.all()

    async def uses(self, caller: Caller) -> list[RetiringUse]:
        """Return who needed retiring scopes, the latest first."""
        caller.require(["auth:list-clients", "auth:list-roles"])
        return await self._store.uses(MAX_LISTED)


class WatchRetiring:
    """Implements `services.authorize.Witness`: tells callers what they will be refused."""

    def __init__(self, store: RetiringStore, access: AccessCache) -> None:
        self._store = store
        self._access = access
        self._marked: dict[str, tuple[str, ...]] = {}
        self._version = -1
        self._strict: RoleBook | None = None
        self._noted: Counter[tuple[str, str]] = Counter()

    def __call__(self, caller: Caller, asked: Expression) -> None:
        """Note what of `asked` the caller will be refused once the retiring scopes are gone."""
        if self._strict is None:
            return
        held = self._strict.expand(caller.own)
        for need in leaves(asked):
            if not held.satisfies(need) and caller.scopes.satisfies(need):
                caller.retiring[need] = None
                if len(self._noted) < MAX_NOTED or (caller.client_id, need) in self._noted:
                    self._noted[caller.client_id, need] += 1

    async def step(self, now: datetime) -> None:
        """Look which scopes are retiring, and store who needed them."""
        await self._store_uses(now)
        marked = await self._store.all()
        snapshot = await self._access.current(now)
        if marked != self._marked or (marked and snapshot.version != self._version):
            self._marked, self._version = marked, snapshot.version
            self._strict = _without(snapshot, marked) if marked else None

    async def _store_uses(self, now: datetime) -> None:
        noted, self._noted = self._noted, Counter()
        if not noted:
            return
        audits, events = [], []
        for (client_id, need), times in sorted(noted.items()):
            _log.warning("a retiring scope is used", client=client_id, scope=need, times=times)
            details = {"scope": need, "times": times}
            audits.append(
                AuditRecord(ACTOR, "auth.retiringScopeUsed", f"client/{client_id}", "allowed", details)
            )
            events.append(Event("retiring-scope-used", client_id, {"clientId": client_id, **details}))
        await self._store.count(noted, Envelope(now, audit=tuple(audits), events=tuple(events)))


def _without(snapshot: Snapshot, marked: dict[str, tuple[str, ...]]) -> RoleBook:
    """Return the roles as they will be."""
    book = snapshot.book
    roles = (book.role(role_id) for role_id in book.role_ids())
    return RoleBook(
        Role(
            role.role_id,
            tuple(scope for scope in role.stored_scopes() if scope not in marked.get(role.role_id, ())),
        )
        for role in roles
        if role is not None
    )
