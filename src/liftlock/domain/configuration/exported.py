"""From what a server has to files that make the same: roles as they are, for grants can't be guessed.

Source: docs/reference/configuration.md#export-and-import
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from liftlock.domain.configuration.resources import MARK, Key, Kind, Resource, by_kind

_FILES: Final[dict[Kind, str]] = {
    "Role": "roles.yml",
    "Client": "clients.yml",
    "Hook": "hooks.yml",
    "Project": "projects.yml",
    "WorkerPool": "pools.yml",
    "ActionPolicy": "actions.yml",
}


def exported(live: Mapping[Key, Resource], name: str) -> dict[str, Any]:
    """Return the documents of the files (name → value) that make `live`; secrets are left out."""
    documents: dict[str, Any] = {
        "liftlock.yml": {"version": 1, "name": name, "managed": sorted(map(str, live))},
    }
    for kind, file in _FILES.items():
        entries = {each.key.id: _ENTRIES[kind](each.content) for each in by_kind(live, kind)}
        if entries:
            documents[file] = entries
    return documents


def _plain(description: str) -> str:
    return description.removeprefix(MARK)


def _role(said: dict[str, Any]) -> dict[str, Any]:
    return {"description": _plain(said["description"]), "scopes": said["scopes"]}


def _client(said: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": _plain(said["description"]),
        "expires": said["expires"],
        "delete-on-expiration": said["deleteOnExpiration"],
        "scopes": said["scopes"],
    }


def _hook(said: dict[str, Any]) -> dict[str, Any]:
    about = said["metadata"]
    found = {
        "name": about["name"],
        "description": _plain(about["description"]),
        "owner": about["owner"],
        "email-on-error": about.get("emailOnError", True),
        "task": said["task"],
        "schedule": said.get("schedule", []),
        "bindings": said.get("bindings", []),
    }
    return found | ({"trigger-schema": said["triggerSchema"]} if "triggerSchema" in said else {})


def _project(said: dict[str, Any]) -> dict[str, Any]:
    return {
        "identity": said["identityUrl"],
        "fetch": said["fetchUrl"],
        "vcs": said["vcs"],
        "level": said["level"],
        "branches": said["branches"],
        "trust-domain": said["trustDomain"],
        "features": [],
    }


def _pool(said: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": _plain(said["description"]),
        "owner": said["owner"],
        "email-on-error": said["emailOnError"],
        "config": said["config"] if said["providerId"] == "static" else {},
    }


def _policy(said: dict[str, Any]) -> dict[str, Any]:
    permissions: dict[str, dict[str, Any]] = {
        name: {"self-admitted": name in said["selfAdmitted"]} for name in said["permissions"]
    }
    for name, schema in said["inputSchemas"].items():
        permissions.setdefault(name, {})["input-schema"] = schema
    return {"levels": said["levels"], "permissions": permissions}


_ENTRIES: Final[dict[Kind, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "Role": _role,
    "Client": _client,
    "Hook": _hook,
    "Project": _project,
    "WorkerPool": _pool,
    "ActionPolicy": _policy,
}
