"""Clients, roles, scopes."""

from __future__ import annotations

from liftlock.adapters.sql.hook_store import SqlHookStore
from liftlock.processes.loops import Loop
from liftlock.processes.parts.foundation import Foundation, Part
from liftlock.services.clients import Clients
from liftlock.services.escalation_paths import EscalationPaths
from liftlock.services.expire_clients import ExpireClients
from liftlock.services.explain_access import ExplainAccess
from liftlock.services.inspect_access import InspectAccess
from liftlock.services.remote_authentication import RemoteAuthentication
from liftlock.services.roles import Roles
from liftlock.web import api_access_paths, api_auth


def part(base: Foundation) -> Part:
    """Return the auth service."""
    clients = Clients(base.access_store, base.access, base.sealer, base.entropy)
    expire_clients = ExpireClients(clients, base.authorizer)

    async def record_use() -> None:
        await base.access.record_use(base.clock.now())

    async def delete_expired() -> None:
        await expire_clients(base.clock.now())

    paths = EscalationPaths(base.access, SqlHookStore(base.engine))
    return Part(
        (
            *api_access_paths.routes(paths),
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
            Loop("delete expired clients", delete_expired, 300),
        ),
    )
