"""Standing policy: for which permissions hooks are made when a push lands, and which of them need nobody's consent.

Source: docs/reference/actions.md#policy
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from liftlock.domain.actions.naming import is_permission
from liftlock.errors import InputInvalidError

GENERIC: Final = "generic"


class DomainPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """What holds for one trust domain."""

    levels: tuple[int, ...] = (1, 2, 3)
    permissions: tuple[str, ...] = (GENERIC,)
    self_admitted: tuple[str, ...] = (GENERIC,)
    """Permissions whose hooks fire as soon as the push has landed; the others wait for somebody else's consent."""
    input_schema: dict[str, dict[str, Any]] = {}
    """Permission → JSON Schema of the user's input, where configuration limits it."""


class Person(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """One person's client, and the names under which they push."""

    client: str
    names: tuple[str, ...]


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """The whole policy file; trust domains that it does not name get the defaults.

    `proven_pushers_only`: nobody's consent counts for content whose pusher no host has authenticated. Without it "not
    the pusher" is decided on names that the pusher's own machine gave.
    """

    trust_domain: dict[str, DomainPolicy] = {}
    person: tuple[Person, ...] = ()
    proven_pushers_only: bool = False

    def permissions(self, trust_domain: str, level: int) -> tuple[str, ...]:
        """Return the permissions for which a landed push brings hooks."""
        domain = self.trust_domain.get(trust_domain, DomainPolicy())
        return domain.permissions if level in domain.levels else ()

    def self_admits(self, trust_domain: str, level: int, permission: str) -> bool:
        """Tell whether content may take effect for `permission` without anybody's consent."""
        domain = self.trust_domain.get(trust_domain, DomainPolicy())
        return (
            level in domain.levels and permission in domain.permissions and permission in domain.self_admitted
        )

    def upholds(self, trust_domain: str, level: int, permission: str, *, by_policy: bool) -> bool:
        """Tell whether content that was admitted for `permission` would be admitted still.

        Args:
            by_policy: Nobody consented but the policy of that time; else a person did.
        """
        if by_policy:
            return self.self_admits(trust_domain, level, permission)
        return permission in self.permissions(trust_domain, level)

    def input_schema(self, trust_domain: str, permission: str) -> dict[str, Any] | None:
        """Return the schema that limits the user's input, or None if any input is let through to the task."""
        return self.trust_domain.get(trust_domain, DomainPolicy()).input_schema.get(permission)

    def names_of(self, client_id: str) -> frozenset[str]:
        """Return every name by which the person behind `client_id` may have pushed, compared as `bare_name` gives it.

        The client's own last part counts always, so that a file without people still recognises most of them.
        """
        names = [client_id, client_id.rpartition("/")[2], client_id.rpartition("|")[2]]
        for person in self.person:
            if person.client == client_id:
                names += person.names
        return frozenset(map(bare_name, names))


def bare_name(name: str) -> str:
    """Return the name without a domain and in lower case: `Robin@example.org` and `robin` are one."""
    return name.partition("@")[0].strip().casefold()


def parse_policy(document: Mapping[str, Any]) -> Policy:
    """Return the policy that the decoded TOML `document` states.

    Raises:
        InputInvalidError: a key is unknown or has the wrong form; the message names it.
    """
    try:
        policy = msgspec.convert(dict(document), Policy)
    except msgspec.ValidationError as error:
        raise InputInvalidError(f"policy: {error}") from error
    for name, domain in policy.trust_domain.items():
        check_domain(f"policy: trust-domain.{name}", domain)
    return policy


def check_domain(where: str, domain: DomainPolicy) -> None:
    """Raise InputInvalidError if a level or a permission of `domain` is none; the message begins with `where`."""
    if not set(domain.levels) <= {1, 2, 3}:
        raise InputInvalidError(f"{where}.levels: expected some of 1, 2, 3")
    for permission in domain.permissions:
        if not is_permission(permission):
            raise InputInvalidError(
                f"{where}.permissions: expected names of [A-Za-z0-9_-], got {permission[:64]!r}"
            )
    for key, listed in (
        ("self-admitted", domain.self_admitted),
        ("input-schema", tuple(domain.input_schema)),
    ):
        for permission in listed:
            if permission not in domain.permissions and permission != GENERIC:
                raise InputInvalidError(f"{where}.{key}: {permission[:64]!r} is not one of its permissions")
