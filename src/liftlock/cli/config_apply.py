"""One step of an apply as one request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from liftlock.cli.client import Api
from liftlock.cli.failures import UsageError
from liftlock.domain.configuration.order import Step
from liftlock.domain.configuration.resources import Key, Resource

_PLACES: dict[str, tuple[str, str]] = {
    "Role": ("auth", "roles"),
    "Client": ("auth", "clients"),
    "Project": ("pushes", "project"),
    "WorkerPool": ("worker-manager", "worker-pool"),
    "ActionPolicy": ("pushes", "action-policy"),
    "Secret": ("secrets", "secret"),
}
_ONE_VERB = {"ActionPolicy", "Secret"}
"""Kinds that are made and changed by the same request."""


@dataclass(slots=True)
class Performer:
    """Performs steps; `tokens` are those of the clients that it made, by id.

    Args:
        values: What secrets shall hold, by name.
    """

    api: Api
    values: Mapping[str, Any]
    tokens: dict[str, str] = field(default_factory=dict)

    def perform(self, step: Step) -> None:
        """Make the request; errors as `Api.call`."""
        route = _route(step.key)
        if step.after is None:
            self.api.delete(*route)
            return
        creates = step.verb == "create" or step.key.kind in _ONE_VERB
        send: Callable[..., Any] = self.api.put if creates else self.api.post
        answer = send(*route, payload=self._body(step.after))
        if step.key.kind == "Client" and step.verb == "create":
            self.tokens[step.key.id] = answer["accessToken"]

    def _body(self, resource: Resource) -> dict[str, Any]:
        if resource.key.kind != "Secret":
            return resource.content
        name = resource.key.id
        if name not in self.values:
            raise UsageError(
                f"secret {name} does not exist, and the files name no variable that holds its value: set it by hand, or"
                " give it a from-env"
            )
        return {"secret": self.values[name], "expires": resource.content["expires"]}


def _route(key: Key) -> tuple[str, ...]:
    if key.kind == "Hook":
        group, _, hook = key.id.partition("/")
        return "hooks", "hooks", group, hook
    return (*_PLACES[key.kind], key.id)
