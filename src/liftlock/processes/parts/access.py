"""Clients, roles, scopes."""

from __future__ import annotations

from liftlock.adapters.sql.hook_store import SqlHookStore
from liftlock.adapters.sql.retiring_store import SqlRetiringStore
from liftlock.adapters.sql.scope_uses import SqlScopeUses
from liftlock.processes.loops import Loop
from liftlock.processes.parts.foundation import Foundation, Part
from liftlock.services.clients import Clients
from liftlock.services.escalation_paths import EscalationPaths
from liftlock.services.expire_clients import ExpireClients
from liftlock.services.explain_access import ExplainAccess
from liftlock.services.inspect_access import InspectAccess
from liftlock.services.remote_authentication import RemoteAuthentication
from liftlock.services.retiring import Retiring
from liftlock.services.roles import Roles
from liftlock.services.scope_uses import EVERY, FindUnused
from liftlock.web import api_access_paths, api_access_uses, api_auth, api_retiring


def part(base: Foundation) -> Part:
    """Return the auth service."""
    clients = Clients(base.access_store, base.access, base.sealer, base.entropy)
    expire_clients = ExpireClients(clients, base.authorizer)

    async def record_use() -> None:
        await base.access.record_use(base.clock.now())

    async def delete_expired() -> None:
        await expire_clients(base.clock.now())

    async def record_scopes() -> None:
        await base.uses.step(base.clock.now())
        await base.retiring.step(base.clock.now())

    paths = EscalationPaths(base.access, SqlHookStore(base.engine))
    return Part(
        (
            *api_access_paths.routes(paths),
            *api_retiring.routes(Retiring(SqlRetiringStore(base.engine), base.access_store)),
            *api_access_uses.routes(FindUnused(SqlScopeUses(base.engine), base.access_store)),
            *api_auth.routes(
                clients,
                Roles(base.access_store, base.access),
                InspectAccess(base.access_store, base.access),
                ExplainAccess(base.access),
                RemoteAuthentication(base.access),
            ),
        ),
        (
            Loop("record use of clients", record_use, 60),
            Loop("record use of scopes", record_scopes, EVERY.total_seconds()),
            Loop("delete expired clients", delete_expired, 300),
        ),
    )
