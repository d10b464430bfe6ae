"""Logins for OCI registries that want one: what is shown to whom. A login is for one registry and goes nowhere else. Pure.

Source: docs/reference/pool-policy.md#registry-credentials
"""

from __future__ import annotations

import base64
import re
import tomllib
from typing import Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from liftlock.domain.inputs.registry_challenge import token_address
from liftlock.errors import InputInvalidError, InputValidationError
from liftlock.values.secret import Secret

_USERNAME = re.compile(r"[^:\x00-\x1f\x7f]{1,256}\Z")
_PASSWORD = re.compile(r"[^\x00-\x1f\x7f]{1,16384}\Z")
_HERE: Final = frozenset(("127.0.0.1", "::1"))


class Login(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who a worker is to one registry. `tokens`: the origin at which the registry has tokens, if that is another one."""

    username: str
    password: str
    tokens: str | None = None

    def __repr__(self) -> str:
        return f"Login({self.username!r}, …)"

    __str__ = __repr__

    @property
    def basic(self) -> str:
        """Return the value of an `authorization` header."""
        return f"Basic {base64.b64encode(f'{self.username}:{self.password}'.encode()).decode()}"


Logins = dict[str, Login]
"""By the name of the registry in the pool's policy."""


class Shown(msgspec.Struct, frozen=True):
    """How to answer a challenge: show `authorization` at the registry, or ask for a token at `token_url`, showing it there."""

    authorization: Secret | None
    token_url: str | None = None


def parse_logins(text: str) -> Logins:
    """Return the logins that a file (TOML) holds; InputInvalidError if it makes no sense. No message quotes the file."""
    try:
        found = msgspec.convert(tomllib.loads(text), Logins)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InputInvalidError(f"the registries' credentials: {error}") from None
    for name, login in found.items():
        if _USERNAME.match(login.username) is None or _PASSWORD.match(login.password) is None:
            raise InputInvalidError(
                f"the registries' credentials: {name[:100]}: expected a username without a colon and a password, in one line"
            )
        if login.tokens is not None and not _is_origin(login.tokens):
            raise InputInvalidError(
                f"the registries' credentials: {name[:100]}.tokens: expected an origin such as https://auth.example"
            )
    return found


def secrets_in(logins: Logins) -> tuple[str, ...]:
    """Return what of logins must never be in a log."""
    return tuple(part for one in logins.values() for part in (one.password, one.basic.removeprefix("Basic ")))


def answer(challenge: str, *, base: str, name: str, login: Login | None) -> Shown:
    """Return how the registry at `base` is answered that asked for a login to pull `name`.

    Raises:
        InputValidationError: the challenge is of another kind, or the login would leave the registry or go unencrypted.
    """
    if login is not None and challenge.partition(" ")[0].lower() == "basic":
        _check_encrypted(base)
        return Shown(Secret(login.basic))
    url = token_address(challenge, base=base, name=name)
    if login is None:
        return Shown(None, url)
    allowed = {_origin(base), _origin(base if login.tokens is None else login.tokens)}
    if _origin(url) not in allowed:
        raise InputValidationError(
            f"the registry has its tokens at {_shown(url)}, for which its login is not; expected"
            f" {' or '.join(sorted(f'{scheme}://{netloc}' for scheme, netloc in allowed))}"
        )
    _check_encrypted(url)
    return Shown(Secret(login.basic), url)


def _check_encrypted(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in _HERE:
        raise InputValidationError(f"a login is shown over https only; {_shown(url)} was not asked with it")


def _is_origin(text: str) -> bool:
    try:
        parts: SplitResult = urlsplit(text)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and (parts.port or 1) > 0
            and text == f"{parts.scheme}://{parts.netloc}"
            and parts.username is None
        )
    except ValueError:
        return False


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme.lower(), parts.netloc.lower()


def _shown(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"[:200]
