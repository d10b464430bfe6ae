"""Whom an identity provider has named, in our terms: a client id, and the scopes that stand for person and groups.

They give nothing by themselves: roles say what `login-identity:<provider>/<subject>` and `login-group:<provider>/<group>`
may do. What a provider says never means more than a name: characters that mean something in scopes are written `!xx`.

Source: docs/how-to/sign-in.md
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from liftlock.errors import AuthenticationFailedError

MAX_GROUPS: Final = 500
MAX_NAME: Final = 255
"""Characters of a subject or a group."""
_PLAIN: Final = re.compile(r"[A-Za-z0-9@:._|+-]", re.ASCII)


class Identity(msgspec.Struct, frozen=True):
    """Who signed in, as the provider says: `subject` never changes and is given to nobody else; `name` is for people."""

    provider: str
    subject: str
    name: str
    groups: tuple[str, ...]

    @property
    def client_id(self) -> str:
        """The id under which the person acts: by the subject, for names are changed and given to others."""
        return f"login/{self.provider}/{plain(self.subject)}"

    @property
    def scopes(self) -> tuple[str, ...]:
        """What the person holds: the role of the identity, and that of each group."""
        groups = sorted(
            f"assume:login-group:{self.provider}/{plain(group, keep='/')}" for group in self.groups
        )
        return (f"assume:login-identity:{self.provider}/{plain(self.subject)}", *groups)


def plain(text: str, keep: str = "") -> str:
    """Return `text` with every character but the plain ones, and those of `keep`, as `!` and its UTF-8 bytes in hexadecimal."""
    return "".join(
        each if _PLAIN.match(each) or each in keep else "".join(f"!{byte:02x}" for byte in each.encode())
        for each in text
    )


def identity_of(provider: str, subject: object, name: object, groups: Iterable[object]) -> Identity:
    """Return the identity.

    Raises:
        AuthenticationFailedError: there is no subject, or something is no text, too long or too much.
    """
    if isinstance(subject, int) and not isinstance(subject, bool):
        subject = str(subject)
    if not isinstance(subject, str) or not 1 <= len(subject) <= MAX_NAME or not subject.isprintable():
        raise AuthenticationFailedError(f"{provider}: expected a subject of 1 to {MAX_NAME} characters")
    found: list[str] = []
    for group in groups:
        if not isinstance(group, str) or not 1 <= len(group) <= MAX_NAME or not group.isprintable():
            raise AuthenticationFailedError(f"{provider}: a group is no text of 1 to {MAX_NAME} characters")
        found.append(group)
    if len(set(found)) > MAX_GROUPS:
        raise AuthenticationFailedError(f"{provider}: more than {MAX_GROUPS} groups; let it send fewer")
    shown = name if isinstance(name, str) and name.isprintable() else subject
    return Identity(provider, subject, shown[:MAX_NAME], tuple(sorted(set(found))))
