"""What was applied of configuration."""

from __future__ import annotations

from liftlock.adapters.sql.configuration_store import SqlConfigurationStore
from liftlock.processes.parts.foundation import Foundation, Part
from liftlock.services.applied_configuration import AppliedConfiguration
from liftlock.web import api_configuration


def part(base: Foundation) -> Part:
    """Return the configuration service."""
    return Part(tuple(api_configuration.routes(AppliedConfiguration(SqlConfigurationStore(base.engine)))))
