"""Why a caller may or may not: the expression as a tree, the same for the API, the command line and pages (A14)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from liftlock.domain.credentials.authentication import KnownClient
from liftlock.domain.scopes.explanation import Leaf, Node, explain
from liftlock.domain.scopes.roles import ANONYMOUS, ASSUME
from liftlock.domain.scopes.satisfaction import Expression
from liftlock.errors import InputInvalidError, NotFoundError
from liftlock.services.access_snapshot import AccessCache, Snapshot
from liftlock.services.authorize import Caller

MAX_HOLDERS: Final = 20
"""Clients named as able to grant one missing scope, at most."""
MAX_SCOPES: Final = 50
"""Scopes that one need may name: everyone may ask, and each costs a walk over roles and clients."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A client that has the missing scope and may pass it on; `by` says with which scope of its own it may."""

    client_id: str
    by: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """`tree` for the client; `holders` by missing scope, sorted by client, at most `MAX_HOLDERS` each."""

    client_id: str
    own: tuple[str, ...]
    tree: Node
    holders: dict[str, tuple[Holder, ...]]


class ExplainAccess:
    """Explains a need for the caller itself, another client, or a set of scopes."""

    def __init__(self, access: AccessCache) -> None:
        self._access = access

    async def __call__(
        self,
        caller: Caller,
        need: Expression,
        now: datetime,
        *,
        client_id: str | None = None,
        scopes: tuple[str, ...] | None = None,
    ) -> Explanation:
        """Return the explanation. One's own needs no scope; roles and clients one may not see are not named.

        Args:
            client_id: Explain for this client (needs `auth:get-client:<clientId>`).
            scopes: Explain for whoever held these (needs `auth:expand-scopes`).
        Raises:
            NotFoundError: there is no such client.
            InputInvalidError: both `client_id` and `scopes` are given, or the need names more than `MAX_SCOPES`.
        """
        snapshot = await self._access.current(now)
        if client_id is not None and scopes is not None:
            raise InputInvalidError("explain: give clientId or scopes, not both")
        if _count(need) > MAX_SCOPES:
            raise InputInvalidError(f"explain: the need names more than {MAX_SCOPES} scopes; ask in parts")
        who, own = caller.client_id, caller.own
        if client_id is not None and client_id != caller.client_id:
            caller.require(f"auth:get-client:{client_id}")
            client = snapshot.client(client_id)
            if client is None:
                raise NotFoundError(f"client {client_id} does not exist")
            who, own = client_id, (*client.scopes, ANONYMOUS)
        elif scopes is not None:
            caller.require("auth:expand-scopes")
            who, own = "", (*scopes, ANONYMOUS)
        tree = explain(snapshot.book, own, need, visible=lambda role_id: _sees_role(caller, role_id))
        missing = {leaf.scope for leaf in _leaves(tree) if not leaf.satisfied}
        roles = _roles_of(snapshot, own)
        seen = _clients_seen(caller, snapshot) if missing else []
        holders = {scope: _holders(caller, seen, scope, who, roles) for scope in sorted(missing)}
        return Explanation(who, own, tree, holders)


def _sees_role(caller: Caller, role_id: str) -> bool:
    return caller.satisfies("auth:list-roles") or caller.satisfies(f"auth:get-role:{role_id}")


def _sees_client(caller: Caller, client_id: str) -> bool:
    return caller.satisfies("auth:list-clients") or caller.satisfies(f"auth:get-client:{client_id}")


def _leaves(node: Node) -> list[Leaf]:
    if isinstance(node, Leaf):
        return [node]
    return [leaf for part in node.parts for leaf in _leaves(part)]


def _roles_of(snapshot: Snapshot, own: tuple[str, ...]) -> list[str]:
    """Return the ids of the roles that a holder of `own` has, sorted, but not everyone's."""
    held = snapshot.book.expand(own)
    found = {match.role.role_id for scope in held for match in snapshot.book.matches(scope)}
    return sorted(found - {ANONYMOUS.removeprefix(ASSUME)})


def _clients_seen(caller: Caller, snapshot: Snapshot) -> list[KnownClient]:
    """Return the enabled clients that `caller` may see, sorted by id."""
    found = (
        snapshot.client(client_id)
        for client_id in sorted(snapshot.enabled())
        if _sees_client(caller, client_id)
    )
    return [client for client in found if client is not None]


def _holders(
    caller: Caller, seen: list[KnownClient], scope: str, who: str, roles: list[str]
) -> tuple[Holder, ...]:
    ways = [f"auth:update-client:{who}", *(f"auth:update-role:{role_id}" for role_id in roles)]
    found: list[Holder] = []
    for client in seen:
        if not client.expanded.satisfies(scope):
            continue
        way = next((way for way in ways if client.expanded.satisfies(way)), None)
        if way is not None:
            shown = way if _sees_way(caller, way) else "(by a role you may not see)"
            found.append(Holder(client.client_id, shown))
            if len(found) == MAX_HOLDERS:
                break
    return tuple(found)


def _count(need: Expression) -> int:
    return 1 if isinstance(need, str) else sum(map(_count, need.parts))


def _sees_way(caller: Caller, way: str) -> bool:
    return not way.startswith("auth:update-role:") or _sees_role(
        caller, way.removeprefix("auth:update-role:")
    )
