"""The configuration service: what was applied last; all of a kind read, and many changes made, in one request.

Source: docs/reference/configuration.md#apply
"""

from __future__ import annotations

from typing import Any, Final

from liftlock.errors import InputInvalidError, InputValidationError, LiftlockError, RequestArgumentsError
from liftlock.ports.configuration_store import AppliedRecord
from liftlock.services.applied_configuration import AppliedConfiguration
from liftlock.services.apply_changes import ApplyChanges, Asked, RoleInput
from liftlock.services.live_resources import LiveResources
from liftlock.values.instants import format_instant
from liftlock.web.auth_wire import client_input
from liftlock.web.routing import ApiRequest, Route
from liftlock.web.validation import validate

_CONTENT: Final = {
    "Role": "auth/create-role-request",
    "Client": "auth/create-client-request",
    "Hook": "hooks/create-hook-request",
}
"""Kind → schema of what it may be: that of the request that makes one alone."""


def routes(applied: AppliedConfiguration, live: LiveResources, changes: ApplyChanges) -> list[Route]:
    """Return the routes of the configuration service."""
    return [*_applied_routes(applied), *_bulk_routes(live, changes)]


def _bulk_routes(live: LiveResources, changes: ApplyChanges) -> list[Route]:
    async def read(request: ApiRequest) -> object:
        match request.params["kind"]:
            case "Role" | "Client" | "Hook" as kind:
                return {"resources": await live(request.caller, kind)}
            case other:
                raise RequestArgumentsError(f"kind: expected Role, Client or Hook, got {other[:64]!r}")

    async def change(request: ApiRequest) -> object:
        asked = [_asked(each) for each in request.payload["changes"]]
        return {"accessTokens": await changes(request.caller, asked, request.now)}

    return [
        Route(
            service="configuration",
            method="GET",
            path="/live/<kind>",
            name="live",
            handler=read,
            title="Read every role, client or hook",
            description="As stored, nothing expanded. `kind` is Role, Client or Hook.",
            scopes={"AnyOf": ["auth:list-roles", "auth:list-clients", "hooks:list-hooks:*"]},
            output="configuration/live-response",
        ),
        Route(
            service="configuration",
            method="POST",
            path="/changes",
            name="applyChanges",
            handler=change,
            title="Make many changes of roles, clients and hooks",
            description=(
                "All of them or none, in one transaction. Each needs the scopes, and has the audit record and the event,"
                " of the request that makes it alone."
            ),
            scopes={"for": "change", "in": "changes", "each": "<scopesOfTheChange>"},
            input="configuration/changes-request",
            output="configuration/changes-response",
        ),
    ]


def _asked(change: dict[str, Any]) -> Asked:
    """Return the change; errors of its content begin with its name."""
    kind, equals, name = change["resource"].partition("=")
    if kind not in _CONTENT or not equals or not name:
        raise InputInvalidError(
            f"changes: {change['resource'][:200]!r}: expected Role=<id>, Client=<id> or Hook=<group>/<id>"
        )
    verb, content = change["change"], change.get("content")
    if (verb == "delete") != (content is None):
        raise InputInvalidError(f"{kind}={name}: expected content unless it is deleted, and none then")
    if content is None:
        return Asked(kind, name, create=False, content=None)
    try:
        validate(_CONTENT[kind], content)
        return Asked(kind, name, verb == "create", _content(kind, content))
    except (InputValidationError, InputInvalidError) as error:
        raise _named(error, f"{kind}={name}") from error


def _content(kind: str, content: Any) -> Any:
    if kind == "Role":
        return RoleInput(content["description"], tuple(content["scopes"]))
    return client_input(content) if kind == "Client" else content


def _named(error: LiftlockError, name: str) -> LiftlockError:
    return type(error)(f"{name}: {error.message}", **error.details)


def _applied_routes(applied: AppliedConfiguration) -> list[Route]:

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
