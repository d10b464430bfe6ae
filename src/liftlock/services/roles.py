"""Roles: what whoever satisfies `assume:<roleId>` may. Nobody puts into a role what he does not have.

A parameterised scope `pre<..>post` needs `pre*`: whoever assumes the role chooses what stands for `<..>`, and a
parameter that ends in `*` drops `post`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from liftlock.domain.scopes.role_rules import PARAMETER, check_role
from liftlock.domain.scopes.roles import ASSUME, Role, RoleBook
from liftlock.domain.scopes.satisfaction import AllOf, ScopeSet, in_order
from liftlock.errors import ConflictError, NotFoundError
from liftlock.ports.access_store import RoleRecord, RoleStore
from liftlock.ports.envelope import Event
from liftlock.services.access_snapshot import AccessCache
from liftlock.services.authorize import Caller
from liftlock.values.ids import role_id as parse_role_id

ALL: Final = 2**31 - 1
"""A limit that lists every role."""


@dataclass(frozen=True, slots=True)
class RoleView:
    """A role as it is shown, with the closure of `assume:<roleId>`."""

    record: RoleRecord
    expanded: ScopeSet


CheckTogether = Callable[[RoleRecord, datetime], Awaitable[None]]


class Roles:
    """Reads and changes roles."""

    def __init__(self, store: RoleStore, access: AccessCache, together: CheckTogether | None = None) -> None:
        """Make the service; `together` is told of each change instead of checking it against all roles at once."""
        self._store = store
        self._access = access
        self._together = together or self._check_together

    async def list(
        self, caller: Caller, *, after: str, limit: int, now: datetime
    ) -> tuple[list[RoleView], str | None]:
        """Return up to `limit` roles by id, and the id to go on after (None: there are no more)."""
        caller.require("auth:list-roles")
        found = await self._store.list_roles(prefix="", after=after, limit=min(limit + 1, ALL))
        views = [await self._view(record, now) for record in found[:limit]]
        return views, views[-1].record.role_id if len(found) > limit else None

    async def get(self, caller: Caller, role_id: str, now: datetime) -> RoleView:
        """Return the role; raises NotFoundError."""
        caller.require(f"auth:get-role:{parse_role_id(role_id)}")
        return await self._view(await self._load(role_id), now)

    async def create(
        self, caller: Caller, role_id: str, description: str, scopes: tuple[str, ...], now: datetime
    ) -> RoleView:
        """Make a role; if exactly this role exists, return it.

        Raises:
            ConflictError: another one of this id exists.
            InputInvalidError: a scope must not be stored.
            DependencyCycleError: the role would close a cycle of parameters.
        """
        parse_role_id(role_id)
        check_role(role_id, scopes)
        caller.require(AllOf(f"auth:create-role:{role_id}", *_to_give(role_id, scopes)))
        record = RoleRecord(role_id, description, in_order(scopes), now, now)
        existing = await self._store.role(role_id)
        if existing is not None:
            if (existing.description, in_order(existing.scopes)) != (description, record.scopes):
                raise ConflictError(
                    f"role {role_id} exists with another description or other scopes: update it instead"
                )
            return await self._view(existing, now)
        await self._together(record, now)
        details = {"description": description, "scopesAdded": list(record.scopes)}
        await self._put(caller, record, "createRole", "role-created", details, now, create=True)
        return await self._view(record, now)

    async def update(
        self, caller: Caller, role_id: str, description: str, scopes: tuple[str, ...], now: datetime
    ) -> RoleView:
        """Change a role; the caller needs what the role did not give before."""
        parse_role_id(role_id)
        check_role(role_id, scopes)
        before = await self._load(role_id)
        gave = (await self._access.current(now)).book.expand(before.scopes)
        added = [
            needed
            for scope in scopes
            if scope not in before.scopes
            for needed in _to_give(role_id, [scope])
            if not gave.satisfies(needed)
        ]
        caller.require(AllOf(f"auth:update-role:{role_id}", *added))
        after = msgspec.structs.replace(
            before, description=description, scopes=in_order(scopes), last_modified=now
        )
        await self._together(after, now)
        details: dict[str, Any] = {
            "scopesAdded": sorted(set(after.scopes) - set(before.scopes)),
            "scopesRemoved": sorted(set(before.scopes) - set(after.scopes)),
        }
        if before.description != description:
            details["description"] = [before.description, description]
        await self._put(caller, after, "updateRole", "role-updated", details, now)
        return await self._view(after, now)

    async def delete(self, caller: Caller, role_id: str, now: datetime) -> None:
        """Delete the role; deleting one that is not there is no error."""
        caller.require(f"auth:delete-role:{parse_role_id(role_id)}")
        before = await self._store.role(role_id)
        removed = [] if before is None else list(before.scopes)
        envelope = caller.envelope(
            now,
            caller.record("auth.deleteRole", f"role/{role_id}", scopesRemoved=removed),
            events=[Event("role-deleted", role_id, {"roleId": role_id})],
        )
        await self._store.delete_role(role_id, caller.client_id, envelope)
        self._access.expire()

    async def _load(self, role_id: str) -> RoleRecord:
        record = await self._store.role(role_id)
        if record is None:
            raise NotFoundError(f"role {role_id} does not exist")
        return record

    async def _view(self, record: RoleRecord, now: datetime) -> RoleView:
        return RoleView(record, (await self._access.current(now)).book.expand([ASSUME + record.role_id]))

    async def _check_together(self, changed: RoleRecord, now: datetime) -> None:
        check_together((await self._access.current(now)).book, [changed], ())

    async def _put(
        self,
        caller: Caller,
        record: RoleRecord,
        action: str,
        topic: str,
        details: dict[str, Any],
        now: datetime,
        *,
        create: bool = False,
    ) -> None:
        envelope = caller.envelope(
            now,
            caller.record(f"auth.{action}", f"role/{record.role_id}", **details),
            events=[Event(topic, record.role_id, {"roleId": record.role_id})],
        )
        await self._store.put_role(record, caller.client_id, envelope, create=create)
        self._access.expire()


def check_together(book: RoleBook, changed: Iterable[RoleRecord], gone: Iterable[str]) -> None:
    """Compile the roles as they would be with `changed` and without `gone`; raises what RoleBook does."""
    new = {record.role_id: Role(record.role_id, record.scopes) for record in changed}
    left_out = new.keys() | set(gone)
    others = [
        Role(role.role_id, role.stored_scopes())
        for role in (book.role(role_id) for role_id in book.role_ids() if role_id not in left_out)
        if role is not None
    ]
    RoleBook([*others, *new.values()])


def _to_give(role_id: str, scopes: Iterable[str]) -> list[str]:
    """Return what one must hold to put `scopes` into the role."""
    if not role_id.endswith("*"):
        return list(scopes)
    return [scope.partition(PARAMETER)[0] + "*" if PARAMETER in scope else scope for scope in scopes]
