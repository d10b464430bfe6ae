"""Steps of an apply as requests: one for many steps where the server takes many, else one for each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

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
    "Retiring": ("auth", "retiring"),
}
_ONE_VERB = {"ActionPolicy", "Secret", "Retiring"}
"""Kinds that are made and changed by the same request."""
_TOGETHER: Final = frozenset({"Role", "Client", "Hook"})
"""Kinds of which many are changed by one request."""
MAX_TOGETHER: Final = 200
"""Steps in one request; the server takes no more."""
MAX_TOGETHER_BYTES: Final = 4 << 20


def batches(steps: Sequence[Step]) -> Iterator[tuple[Step, ...]]:
    """Yield the steps in their order, in groups that one request performs. No group goes beyond a phase."""
    group: list[Step] = []
    size = 0
    for step in steps:
        own = _size(step)
        fits = group and step.key.kind in _TOGETHER and step.phase == group[0].phase
        if group and not (fits and len(group) < MAX_TOGETHER and size + own <= MAX_TOGETHER_BYTES):
            yield tuple(group)
            group, size = [], 0
        group.append(step)
        size += own
        if step.key.kind not in _TOGETHER:
            yield tuple(group)
            group, size = [], 0
    if group:
        yield tuple(group)


def _size(step: Step) -> int:
    return 0 if step.after is None else len(json.dumps(step.after.content))


@dataclass(slots=True)
class Performer:
    """Performs steps; `tokens` are those of the clients that it made, by id; `notes` what else people should know.

    Args:
        values: What secrets shall hold, by name.
    """

    api: Api
    values: Mapping[str, Any]
    tokens: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def perform(self, steps: Sequence[Step]) -> None:
        """Make the one request that performs these steps of a batch; errors as `Api.call`."""
        if len(steps) == 1:
            self._perform_one(steps[0])
            return
        changes = [
            {"change": step.verb, "resource": str(step.key)}
            | ({} if step.after is None else {"content": step.after.content})
            for step in steps
        ]
        answer = self.api.post("configuration", "changes", payload={"changes": changes})
        self.tokens |= answer["accessTokens"]

    def _perform_one(self, step: Step) -> None:
        route = _route(step.key)
        if step.after is None:
            self.api.delete(*route)
            return
        creates = step.verb == "create" or step.key.kind in _ONE_VERB
        send: Callable[..., Any] = self.api.put if creates else self.api.post
        answer = send(*route, payload=self._body(step.after))
        if step.key.kind == "Client" and step.verb == "create":
            self.tokens[step.key.id] = answer["accessToken"]
        if step.key.kind == "ActionPolicy":
            self.notes += [
                f"withdrawn: {each['permission']} at level {each['level']}, content {each['digest']}"
                for each in answer.get("withdrawn", ())
            ]

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
