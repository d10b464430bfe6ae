"""The sign-in file: identity providers, and the third parties that may ask for credentials.

Source: docs/how-to/sign-in.md
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec

from liftlock.domain.scopes.role_rules import check_stored_scopes
from liftlock.errors import InputInvalidError, LiftlockError

MAX_CREDENTIALS: Final = timedelta(days=30)
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}\Z", re.ASCII)
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_Short = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """An identity provider. `client_id` and the secret, here or in a file beside, are what it knows this liftlock by.

    Kind `oidc`: all else is found below `issuer`; the groups are the claim `groups_claim`. Kind `github`: OAuth2 with
    GitHub's user API below `api`; the groups are `org/team`.
    """

    name: _Short
    label: _Short
    kind: Literal["oidc", "github"] = "oidc"
    issuer: _Short
    api: str = ""
    client_id: _Short
    client_secret: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    client_secret_file: str = ""
    scope: str = ""
    groups_claim: _Short = "groups"
    groups: tuple[str, ...] | None = None
    """Only these groups count, if given."""


class ThirdParty(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """A program that people may let act for them, such as a dashboard: with some of these `scopes`, for some time.

    `proof` is what shows that who redeems a code asked for it: `pkce`, `secret` (its sha256 is `secret_sha256`), or
    `none`, for programs that know neither.
    """

    client_id: _Short
    label: _Short
    redirect_uris: Annotated[tuple[_Short, ...], msgspec.Meta(min_length=1, max_length=20)]
    scopes: tuple[str, ...]
    proof: Literal["pkce", "secret", "none"] = "pkce"
    secret_sha256: str = ""
    longest_s: Annotated[int, msgspec.Meta(ge=60, le=30 * 86400)] = 3 * 86400


class LoginSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """Everything of the file.

    `address` is where browsers find this liftlock, `https://host`; empty: the root URL that it serves on.
    """

    address: str = ""
    provider: tuple[ProviderSettings, ...] = ()
    third_party: tuple[ThirdParty, ...] = ()

    def third_party_of(self, client_id: str) -> ThirdParty | None:
        """Return the registered program, or None."""
        return next((one for one in self.third_party if one.client_id == client_id), None)


def parse_login_settings(text: str) -> LoginSettings:
    """Return the settings.

    Raises:
        InputInvalidError: the file is not as it has to be; the message says where.
    """
    try:
        found = msgspec.convert(tomllib.loads(text), LoginSettings)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, RecursionError) as error:
        raise InputInvalidError(f"sign-in file: {error}") from error
    _unique("provider", [one.name for one in found.provider])
    _unique("third-party", [one.client_id for one in found.third_party])
    if found.address:
        _check_url("address", found.address)
        if urlsplit(found.address).path.strip("/") or "?" in found.address:
            raise InputInvalidError(f"sign-in file: address: expected no path, got {found.address[:120]!r}")
    for one in found.provider:
        if _NAME.match(one.name) is None:
            raise InputInvalidError(
                f"sign-in file: provider {one.name[:40]!r}: expected lower-case letters, digits and -, 32 at most"
            )
        _check_url(f"provider {one.name}: issuer", one.issuer)
        if bool(one.client_secret) == bool(one.client_secret_file):
            expected = "expected either client-secret-file or client-secret"
            raise InputInvalidError(f"sign-in file: provider {one.name}: {expected}")
        if one.kind == "github":
            _check_url(f"provider {one.name}: api", one.api)
    for party in found.third_party:
        _check_third_party(party)
    return found


def _check_third_party(party: ThirdParty) -> None:
    what = f"third-party {party.client_id[:40]!r}"
    if _NAME.match(party.client_id) is None:
        raise InputInvalidError(
            f"sign-in file: {what}: client-id: expected lower-case letters, digits and -, 32 at most"
        )
    for uri in party.redirect_uris:
        _check_url(f"{what}: redirect-uris", uri)
    if (party.proof == "secret") != bool(re.fullmatch("[0-9a-f]{64}", party.secret_sha256)):
        raise InputInvalidError(
            f'sign-in file: {what}: secret-sha256: expected 64 hexadecimal digits with proof = "secret", else nothing'
        )
    try:
        check_stored_scopes(party.scopes)
    except LiftlockError as error:
        raise InputInvalidError(f"sign-in file: {what}: scopes: {error.message}") from error


def _check_url(what: str, url: str) -> None:
    if not safe_url(url):
        raise InputInvalidError(
            f"sign-in file: {what}: expected https://host/… without user and fragment, got {url[:120]!r}"
        )


def safe_url(url: str) -> bool:
    """Tell whether `url` is https, or plain on the loopback, with no parts that an exact comparison should not rest on."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    plain_http = parts.scheme == "http" and host in _LOOPBACK
    named = bool(host) and "@" not in parts.netloc and "#" not in url
    return named and url.isascii() and url.isprintable() and (parts.scheme == "https" or plain_http)


def _unique(what: str, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputInvalidError(f"sign-in file: {what} {twice[0][:40]!r} stands more than once")
