"""Who may approve what, and the keys by which they do: configuration, parsed and checked.

Source: docs/reference/approvals.md#approvers
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

from liftlock.domain.approvals.passkeys import Passkey, from_url_base64
from liftlock.domain.approvals.sshsig import parse_ssh_key
from liftlock.domain.inputs.minisign import parse_key
from liftlock.errors import InputInvalidError, InputValidationError

MAX_APPROVERS: Final = 1_000
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}\Z", re.ASCII)
_Texts = Annotated[
    list[Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]], msgspec.Meta(max_length=50)
]


class Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Public keys of one person. `ssh`: lines of an authorized_keys file; `minisign`: last lines of .pub files."""

    ssh: _Texts = []
    minisign: _Texts = []
    webauthn: Annotated[list[Passkey], msgspec.Meta(max_length=50)] = []


class Approver(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One person. `clients`: all of the person's client ids, a final `*` stands for the rest; `operations` likewise.

    Two clients of one person are one person: neither approves what the other asked for.
    """

    clients: _Texts
    operations: _Texts
    keys: Keys = Keys()

    def is_client(self, client_id: str) -> bool:
        """Tell whether the client is this person's."""
        return any(_matches(pattern, client_id) for pattern in self.clients)

    def may_approve(self, operation: str) -> bool:
        """Tell whether this person counts for the operation."""
        return any(_matches(pattern, operation) for pattern in self.operations)


def parse_approvers(given: Mapping[str, Any]) -> dict[str, Approver]:
    """Return the approvers by name.

    Raises:
        InputValidationError: a field is missing, unknown or of the wrong form, or a key is none; with its path.
        InputInvalidError: a key belongs to two people.
    """
    if len(given) > MAX_APPROVERS:
        raise InputInvalidError(f"approvers: expected at most {MAX_APPROVERS}, found {len(given)}")
    found = {name: _approver(name, each) for name, each in given.items()}
    owners: dict[str, str] = {}
    for name, person in found.items():
        for key in _ids_of(person):
            if owners.setdefault(key, name) != name:
                raise InputInvalidError(
                    f"approvers: {owners[key]} and {name} have the same key; one key is one person's"
                )
    return found


def _approver(name: object, given: object) -> Approver:
    if not isinstance(name, str) or _NAME.match(name) is None:
        raise InputValidationError(
            f"approvers: expected names of a-z, 0-9, `.`, `_` and -, at most 40 characters, found {name!r:.80}"
        )
    where = f"approvers.{name}"
    try:
        person = msgspec.convert(given, Approver)
    except msgspec.ValidationError as error:
        raise InputValidationError(f"{where}: {error}") from error
    for kind, keys in (("ssh", person.keys.ssh), ("minisign", person.keys.minisign)):
        for index, key in enumerate(keys):
            try:
                parse_ssh_key(key) if kind == "ssh" else parse_key(key)
            except InputValidationError as error:
                raise InputValidationError(f"{where}.keys.{kind}[{index}]: {error.message}") from error
    for passkey in person.keys.webauthn:
        from_url_base64(passkey.public_key)
    return person


def _ids_of(person: Approver) -> list[str]:
    return [
        *(f"ssh {parse_ssh_key(key).blob.hex()}" for key in person.keys.ssh),
        *(f"minisign {parse_key(key).public.hex()}" for key in person.keys.minisign),
        *(f"webauthn {key.public_key.rstrip('=')}" for key in person.keys.webauthn),
    ]


def _matches(pattern: str, text: str) -> bool:
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern
