"""What services answer, in the form of resources: without what a server adds by itself.

Source: docs/reference/configuration.md#resources
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Any, Final

from liftlock.domain.actions.naming import is_managed
from liftlock.domain.configuration.resources import Key, Kind, Resource, Resources, by_kind
from liftlock.domain.scopes.satisfaction import in_order
from liftlock.values.json import canonical

_FIELDS: Final[dict[Kind, tuple[str, ...]]] = {
    "Role": ("description", "scopes"),
    "Client": ("description", "expires", "deleteOnExpiration", "scopes"),
    "Hook": ("hookGroupId", "hookId", "metadata", "task", "schedule", "bindings", "triggerSchema"),
    "Project": ("identityUrl", "fetchUrl", "vcs", "level", "branches", "trustDomain"),
    "WorkerPool": ("providerId", "description", "owner", "emailOnError", "config"),
    "ActionPolicy": ("levels", "permissions", "selfAdmitted", "inputSchemas"),
    "Secret": (),
    "Retiring": ("scopes",),
}
STATIC: Final = "static/"
"""Clients whose id begins so belong to the server's own settings."""
_ROUNDS: Final = 1 << 14


def live_resource(kind: Kind, name: str, answer: Mapping[str, Any]) -> Resource | None:
    """Return the resource that a service's answer describes; None for what the server keeps by itself."""
    if kind == "Hook" and is_managed(str(answer["hookGroupId"]), str(answer["hookId"])):
        return None
    if kind == "Client" and name.startswith(STATIC):
        return None
    content = {field: answer[field] for field in _FIELDS[kind] if field in answer}
    if "scopes" in content:
        content["scopes"] = list(in_order(content["scopes"]))
    return Resource(Key(kind, name), content)


def live_secrets(
    files: Resources, names: Iterable[str], hashes: Mapping[str, str], values: Mapping[str, Any]
) -> Resources:
    """Return the secrets of the server as far as they can be told: by name, and by the hash of what was applied.

    Args:
        hashes: Salted hashes of the values that were applied last, by name.
        values: What the files' secrets shall hold; a secret without a value here is only expected to exist.
    """
    stored = set(names)
    found: Resources = {}
    for resource in by_kind(files, "Secret"):
        name = resource.key.id
        known = name not in values or (name in hashes and same_secret(values[name], hashes[name]))
        if name in stored:
            found[resource.key] = resource if known else Resource(resource.key, {"value": "another"})
    for name in stored:
        found.setdefault(Key("Secret", name), Resource(Key("Secret", name), {}))
    return found


def secret_hash(value: Any, salt: bytes) -> str:
    """Return `scrypt$<salt>$<hash>` of a secret's JSON value: slow to try values against."""
    made = hashlib.scrypt(canonical(value), salt=salt, n=_ROUNDS, r=8, p=1, dklen=32)
    return f"scrypt${salt.hex()}${made.hex()}"


def same_secret(value: Any, known: str) -> bool:
    """Tell whether `known` is a hash of `value`, in constant time."""
    name, _, rest = known.partition("$")
    salt, _, _ = rest.partition("$")
    if name != "scrypt" or not salt or set(salt) - set("0123456789abcdef") or len(salt) % 2:
        return False
    return hmac.compare_digest(secret_hash(value, bytes.fromhex(salt)), known)
