"""The configuration service: what was applied last.

Source: docs/reference/configuration.md#apply
"""

from __future__ import annotations

from typing import Any

from liftlock.ports.configuration_store import AppliedRecord
from liftlock.services.applied_configuration import AppliedConfiguration
from liftlock.values.instants import format_instant
from liftlock.web.routing import ApiRequest, Route


def routes(applied: AppliedConfiguration) -> list[Route]:
    """Return the routes of the configuration service."""

    async def get(request: ApiRequest) -> object:
        return applied_wire(await applied.get(request.caller, request.params["name"]))

    async def put(request: ApiRequest) -> object:
        made = await applied.put(request.caller, request.params["name"], request.payload, request.now)
        return applied_wire(made)

    return [
        Route(
            service="configuration",
            method="GET",
            path="/applied/<name>",
            name="applied",
            handler=get,
            title="See what was applied last",
            scopes="configuration:get-applied:<name>",
            output="configuration/applied-response",
        ),
        Route(
            service="configuration",
            method="PUT",
            path="/applied/<name>",
            name="setApplied",
            handler=put,
            title="Record that an apply begins or has ended",
            description="A record only: it changes no privilege. Answers 409 if somebody else changed it meanwhile.",
            scopes="configuration:set-applied:<name>",
            input="configuration/applied-request",
            output="configuration/applied-response",
        ),
    ]


def applied_wire(record: AppliedRecord) -> dict[str, Any]:
    """Return the record as JSON."""
    return {
        "name": record.name,
        "version": record.version,
        "digests": record.digests,
        "target": record.target,
        "secrets": record.secrets,
        "by": record.actor,
        "at": format_instant(record.at),
    }
