"""Builds the control plane from an engine: which adapter stands behind which port, which routes and loops there are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry

from liftlock.adapters.keys.sealing import KeyFileSealer
from liftlock.adapters.sql.access_store import SqlAccessStore
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.housekeeping import SqlHousekeeping
from liftlock.adapters.sql.task_store import SqlTaskStore
from liftlock.adapters.wakeups.in_process import InProcessWakeups
from liftlock.domain.credentials.certificates import Credentials
from liftlock.ports.clock import Clock
from liftlock.ports.entropy import Entropy
from liftlock.processes.loops import Loop
from liftlock.processes.settings import ControlPlaneSettings
from liftlock.services.access_snapshot import AccessCache, StaticClient
from liftlock.services.authorize import Authorizer
from liftlock.services.claim_work import ClaimWork
from liftlock.services.clients import Clients
from liftlock.services.create_task import CreateTask
from liftlock.services.expire_clients import ExpireClients
from liftlock.services.explain_access import ExplainAccess
from liftlock.services.inspect_access import InspectAccess
from liftlock.services.remote_authentication import RemoteAuthentication
from liftlock.services.roles import Roles
from liftlock.services.run_credentials import RunCredentials
from liftlock.services.task_lifecycle import TaskLifecycle
from liftlock.services.task_queries import TaskQueries
from liftlock.web import api_auth, api_queue_claims, api_queue_tasks, housekeeping
from liftlock.web.app import App
from liftlock.web.dispatch import Api
from liftlock.web.routing import Route, RouteTable

KEY_FILE = "keys.json"
NONCES_KEPT = timedelta(hours=2)
"""Longer than twice the skew that a signature may have."""


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """The application that answers requests, and the loops that run beside it."""

    app: App
    routes: tuple[Route, ...]
    loops: tuple[Loop, ...]


def build(
    told: ControlPlaneSettings, engine: Engine, wakeups: InProcessWakeups, clock: Clock, entropy: Entropy
) -> ControlPlane:
    """Wire everything; nothing has run yet when this returns."""
    sealer = KeyFileSealer.open(Path(told.directory) / KEY_FILE, entropy)
    static = [
        StaticClient(
            client_id=client.client_id,
            access_token=client.access_token,
            scopes=client.scopes,
            description=client.description,
        )
        for client in told.static_clients
    ]
    access_store = SqlAccessStore(engine)
    access = AccessCache(access_store, sealer, static)
    authorizer = Authorizer(access)
    clients = Clients(access_store, access, sealer, entropy)
    expire_clients = ExpireClients(clients, authorizer)
    issuer = next(client for client in told.static_clients if client.client_id == told.credentials_issuer)
    tasks = SqlTaskStore(engine)
    create_task = CreateTask(tasks)
    credentials = RunCredentials(Credentials(issuer.client_id, issuer.access_token), entropy)
    routes = _with_housekeeping(
        [
            *api_auth.routes(
                clients,
                Roles(access_store, access),
                InspectAccess(access_store, access),
                ExplainAccess(access),
                RemoteAuthentication(access),
            ),
            *api_queue_tasks.routes(create_task, TaskLifecycle(tasks), TaskQueries(tasks)),
            *api_queue_claims.routes(ClaimWork(tasks, wakeups, clock, credentials)),
        ]
    )
    kept = SqlHousekeeping(engine)

    async def drop_old_nonces() -> None:
        await kept.drop_nonces(before=clock.now() - NONCES_KEPT)

    async def record_use() -> None:
        await access.record_use(clock.now())

    async def delete_expired_clients() -> None:
        await expire_clients(clock.now())

    app = App(Api(RouteTable(routes), authorizer, clock), CollectorRegistry(), kept.ready)
    return ControlPlane(
        app,
        tuple(routes),
        (
            Loop("drop old nonces", drop_old_nonces, 600),
            Loop("record use of clients", record_use, 60),
            Loop("delete expired clients", delete_expired_clients, 300),
        ),
    )


def _with_housekeeping(routes: list[Route]) -> list[Route]:
    services = sorted({route.service for route in routes})
    return [*routes, *(route for service in services for route in housekeeping.routes(service))]
