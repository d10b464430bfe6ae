"""Builds the control plane from an engine: which adapter stands behind which port, which routes and loops there are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from prometheus_client import CollectorRegistry

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.housekeeping import SqlHousekeeping
from liftlock.adapters.wakeups.in_process import InProcessWakeups
from liftlock.ports.clock import Clock
from liftlock.ports.confined_parser import ConfinedParser
from liftlock.ports.entropy import Entropy
from liftlock.processes.loops import Loop
from liftlock.processes.parts import (
    access,
    audit,
    configuration,
    events,
    foundation,
    gate,
    hooks,
    integrations,
    operations,
    pages,
    provenance,
    pushes,
    queue,
)
from liftlock.processes.parts.foundation import Foundation, Part
from liftlock.processes.settings import ControlPlaneSettings
from liftlock.services.configured_operations import GuardOperations
from liftlock.web import housekeeping, references
from liftlock.web.app import App
from liftlock.web.dispatch import Api
from liftlock.web.pages.site import Site
from liftlock.web.routing import Route, RouteTable

NONCES_KEPT = timedelta(hours=2)
"""Longer than twice the skew that a signature may have."""


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """The application that answers requests, and the loops that run beside it."""

    app: App
    routes: tuple[Route, ...]
    loops: tuple[Loop, ...]
    site: Site


def build(
    told: ControlPlaneSettings,
    engine: Engine,
    wakeups: InProcessWakeups,
    clock: Clock,
    entropy: Entropy,
    parser: ConfinedParser,
) -> ControlPlane:
    """Wire everything; nothing has run yet when this returns. `parser` knows the parsings `SHOWING`."""
    base = foundation.lay(told, engine, wakeups, clock, entropy)
    hook_services = hooks.services(base)
    pushes_part, guard, push_services = pushes.part(base, hook_services)
    hooks_part, fire = hooks.part(base, hook_services, GuardOperations(guard))
    operations_part, operation_services = operations.part(base, hook_services, fire, push_services, parser)
    audit_part, audit_log = audit.part(base)
    pages_part, site, third_parties = pages.part(base, hook_services, fire, operation_services, audit_log)
    parts = [
        access.part(base),
        audit_part,
        queue.part(base),
        hooks_part,
        events.part(base, hook_services.store, fire),
        pushes_part,
        operations_part,
        provenance.part(base),
        integrations.part(base, push_services, fire, operation_services),
        configuration.part(base),
        gate.part(base),
        pages_part,
        _upkeep(base),
    ]
    routes = [route for part in parts for route in part.routes]
    services = sorted({route.service for route in routes})
    routes += [route for service in services for route in housekeeping.routes(service)]
    api = Api(RouteTable(routes), base.authorizer, clock)
    published = references.documents(routes, told.root_url)
    app = App(api, published, CollectorRegistry(), SqlHousekeeping(engine).ready, site, third_parties)
    return ControlPlane(app, tuple(routes), tuple(loop for part in parts for loop in part.loops), site)


def _upkeep(base: Foundation) -> Part:
    kept = SqlHousekeeping(base.engine)

    async def drop_old_nonces() -> None:
        await kept.drop_nonces(before=base.clock.now() - NONCES_KEPT)

    return Part(
        (),
        (
            Loop("drop old nonces", drop_old_nonces, 600),
            Loop("drop old events", kept.drop_outbox, 600),
            Loop("give back space", kept.give_back_space, 60),
        ),
    )
