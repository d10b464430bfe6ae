"""What a server has now, read over its API with the caller's own scopes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from liftlock.cli.client import Api
from liftlock.cli.failures import AnsweredError
from liftlock.domain.configuration.difference import Applied
from liftlock.domain.configuration.live import live_resource, live_secrets
from liftlock.domain.configuration.resources import Kind, Resources


def read_live(api: Api, kinds: Iterable[Kind], *, foreign: bool = False) -> Resources:
    """Return every resource of these kinds, but for secrets (`read_secrets`).

    Args:
        foreign: Ask only what every Taskcluster-compatible deployment answers.
    """
    found: Resources = {}
    for kind in kinds:
        reader = _READERS[kind] if foreign or kind not in _AT_ONCE else partial(_whole, kind)
        for name, answer in reader(api):
            resource = live_resource(kind, name, answer)
            if resource is not None:
                found[resource.key] = resource
    return found


def read_secrets(
    api: Api, files: Resources, hashes: Mapping[str, str], values: Mapping[str, Any]
) -> Resources:
    """Return the server's secrets by name, compared by hash; no value is read."""
    return live_secrets(files, api.all_pages("secrets", "secrets", key="secrets"), hashes, values)


def read_applied(api: Api, name: str) -> tuple[int, Applied, dict[str, str], dict[str, str]]:
    """Return what was applied last: the record's version, the digests, the secrets' hashes, and who and when."""
    try:
        answer = api.get("configuration", "applied", name)
    except AnsweredError as error:
        if error.answered_code != "ResourceNotFound":
            raise
        return 0, Applied(), {}, {}
    applied = Applied(answer["digests"], answer["target"])
    return answer["version"], applied, answer["secrets"], {"by": answer["by"], "at": answer["at"]}


def _whole(kind: Kind, api: Api) -> Iterator[tuple[str, dict[str, Any]]]:
    return iter(api.get("configuration", "live", kind)["resources"].items())


def _roles(api: Api) -> Iterator[tuple[str, dict[str, Any]]]:
    return ((each["roleId"], each) for each in api.all_pages("auth", "roles2", "", key="roles"))


def _clients(api: Api) -> Iterator[tuple[str, dict[str, Any]]]:
    return ((each["clientId"], each) for each in api.all_pages("auth", "clients", "", key="clients"))


def _hooks(api: Api) -> Iterator[tuple[str, dict[str, Any]]]:
    for group in api.get("hooks", "hooks")["groups"]:
        for each in api.get("hooks", "hooks", group)["hooks"]:
            yield f"{group}/{each['hookId']}", each


def _projects(api: Api) -> Iterator[tuple[str, dict[str, Any]]]:
    return ((each["project"], each) for each in api.get("pushes", "projects")["projects"])


def _pools(api: Api) -> Iterator[tuple[str, dict[str, Any]]]:
    pages = api.all_pages("worker-manager", "worker-pools", key="workerPools")
    return ((each["workerPoolId"], each) for each in pages)


def _policies(api: Api) -> Iterator[tuple[str, dict[str, Any]]]:
    return ((each["trustDomain"], each) for each in api.get("pushes", "action-policies")["policies"])


def _retiring(api: Api) -> Iterator[tuple[str, dict[str, Any]]]:
    return ((each["roleId"], each) for each in api.get("auth", "retiring")["retiring"])


_AT_ONCE: Final[frozenset[Kind]] = frozenset({"Role", "Client", "Hook"})
"""Kinds that liftlock gives whole in one answer."""
_READERS: dict[Kind, Callable[[Api], Iterator[tuple[str, dict[str, Any]]]]] = {
    "Role": _roles,
    "Client": _clients,
    "Hook": _hooks,
    "Project": _projects,
    "WorkerPool": _pools,
    "ActionPolicy": _policies,
    "Retiring": _retiring,
}
