"""Configuration: what was applied, and much read and changed at once."""

from __future__ import annotations

from liftlock.adapters.sql.configuration_store import SqlConfigurationStore
from liftlock.adapters.sql.hook_store import SqlHookStore
from liftlock.processes.parts.foundation import Foundation, Part
from liftlock.services.applied_configuration import AppliedConfiguration
from liftlock.services.apply_changes import ApplyChanges
from liftlock.services.live_resources import LiveResources
from liftlock.web import api_configuration


def part(base: Foundation) -> Part:
    """Return the configuration service."""
    hooks = SqlHookStore(base.engine)
    routes = api_configuration.routes(
        AppliedConfiguration(SqlConfigurationStore(base.engine)),
        LiveResources(base.access_store, hooks),
        ApplyChanges(base.access_store, hooks, base.access, base.sealer, base.entropy),
    )
    return Part(tuple(routes))
