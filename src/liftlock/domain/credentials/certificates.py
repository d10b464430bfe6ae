"""Temporary credentials: a certificate signed with the issuer's access token, and what else `ext` says.

Source: docs/reference/access.md#temporary-credentials
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from liftlock.domain.credentials.keyed_hash import keyed_hash
from liftlock.domain.scopes.satisfaction import ScopeSet, is_scope
from liftlock.errors import AuthenticationFailedError, MalformedPayloadError
from liftlock.values.instants import to_ms
from liftlock.values.json import decode

MAX_LIFETIME: Final = timedelta(days=31)
SLACK: Final = timedelta(minutes=5)
"""By how much the start may lie ahead and the expiry behind, for clocks that differ."""
SEED_CHARS: Final = 44
CREATE_CLIENT: Final = "auth:create-client:"

_CLIENT_ID: Final = re.compile(r"[A-Za-z0-9!@/:.+|_-]+\Z", re.ASCII)
_SEED: Final = re.compile(r"[\x20-\x7e]{44}\Z", re.ASCII)
_FIELDS: Final = frozenset(
    {"version", "seed", "start", "expiry", "scopes", "issuer", "signature", "clientId"}
)
_MAX_MS: Final = 2**53


class Certificate(msgspec.Struct, frozen=True):
    """What an issuer signed; `start` and `expiry` are milliseconds since 1970; `issuer` None: unnamed."""

    seed: str
    start: int
    expiry: int
    scopes: tuple[str, ...]
    issuer: str | None
    signature: str


class Extension(msgspec.Struct, frozen=True):
    """A request's `ext`, parsed; None where it says nothing."""

    certificate: Certificate | None = None
    authorized_scopes: tuple[str, ...] | None = None


_NOTHING: Final = Extension()


def _fail(what: str) -> AuthenticationFailedError:
    return AuthenticationFailedError(f"ext{what}")


def parse_extension(ext: str) -> Extension:
    """Return what `ext` (base64 of JSON, either alphabet, padded or not) says; empty text says nothing.

    Scopes that end in `**` are refused here too: they would satisfy more than what they were made from.

    Raises:
        AuthenticationFailedError: it is malformed, or has fields of no meaning: a restriction must not be overlooked.
    """
    if not ext:
        return _NOTHING
    bare = ext.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        said = decode(base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True), what="ext")
    except (binascii.Error, ValueError, MalformedPayloadError) as error:
        raise _fail(": expected base64 of JSON") from error
    if not isinstance(said, dict) or not said.keys() <= {"certificate", "authorizedScopes"}:
        raise _fail(": expected an object of certificate and authorizedScopes only")
    certificate = said.get("certificate")
    authorized = said.get("authorizedScopes")
    return Extension(
        None if certificate is None else _certificate(certificate),
        None if authorized is None else _scopes(authorized, ".authorizedScopes"),
    )


def _scopes(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(is_scope(scope) for scope in value):
        raise _fail(f"{where}: expected a list of scopes (printable ASCII)")
    if any(scope.endswith("**") for scope in value):
        raise _fail(f"{where}: a scope must not end in `**`")
    return tuple(value)


def _certificate(value: object) -> Certificate:
    where = ".certificate"
    if not isinstance(value, dict) or not value.keys() <= _FIELDS:
        raise _fail(f"{where}: expected an object of {', '.join(sorted(_FIELDS))}")
    if type(value.get("version")) is not int or value["version"] != 1:
        raise _fail(f"{where}.version: expected 1")
    seed = value.get("seed")
    if not isinstance(seed, str) or _SEED.match(seed) is None:
        raise _fail(f"{where}.seed: expected {SEED_CHARS} characters")
    times = [_ms(value, name) for name in ("start", "expiry")]
    issuer = value.get("issuer")
    if issuer is not None and (not isinstance(issuer, str) or _CLIENT_ID.match(issuer) is None):
        raise _fail(f"{where}.issuer: expected a clientId")
    signature = value.get("signature")
    if not isinstance(signature, str):
        raise _fail(f"{where}.signature: expected text")
    if issuer is None and "clientId" in value:
        raise _fail(f"{where}.clientId: only together with issuer")
    return Certificate(
        seed, times[0], times[1], _scopes(value.get("scopes"), f"{where}.scopes"), issuer, signature
    )


def _ms(value: dict[str, Any], name: str) -> int:
    ms = value.get(name)
    if type(ms) is not int or not 0 <= ms <= _MAX_MS:
        raise _fail(f".certificate.{name}: expected milliseconds since 1970")
    return ms


def sign_certificate(certificate: Certificate, client_id: str, issuer_token: bytes) -> str:
    """Return the base64 signature of `certificate`; `client_id` counts only if it names an issuer."""
    lines = ["version:1"]
    if certificate.issuer is not None:
        lines += [f"clientId:{client_id}", f"issuer:{certificate.issuer}"]
    lines += [
        f"seed:{certificate.seed}",
        f"start:{certificate.start}",
        f"expiry:{certificate.expiry}",
        "scopes:",
    ]
    lines += certificate.scopes
    return base64.b64encode(keyed_hash(issuer_token, "\n".join(lines).encode())).decode()


def temporary_token(seed: str, issuer_token: bytes) -> str:
    """Return the access token that belongs to `seed`: base64url without padding."""
    return base64.urlsafe_b64encode(keyed_hash(issuer_token, seed.encode())).rstrip(b"=").decode()


def check_certificate(
    certificate: Certificate, client_id: str, issuer_token: bytes, issuer_scopes: ScopeSet, now: datetime
) -> None:
    """Return if the issuer signed `certificate` for `client_id`, it is in force, and gives no more than the issuer has.

    Args:
        issuer_scopes: The issuer's, expanded.
    Raises:
        AuthenticationFailedError: naming the first thing that is wrong; the signature comes first.
    """
    if _CLIENT_ID.match(client_id) is None:
        raise _fail(": the temporary credentials' clientId: expected one or more of [A-Za-z0-9!@/:.+|_-]")
    expected = sign_certificate(certificate, client_id, issuer_token).encode()
    if not hmac.compare_digest(expected, certificate.signature.encode("utf-8", "replace")):
        raise _fail(
            ".certificate.signature: not made with the issuer's access token for this clientId and contents"
        )
    now_ms, slack_ms = to_ms(now), SLACK // timedelta(milliseconds=1)
    if certificate.start > now_ms + slack_ms:
        raise _fail(".certificate.start: lies in the future")
    if certificate.expiry < now_ms - slack_ms:
        raise _fail(".certificate.expiry: the temporary credentials have expired")
    if not 0 <= certificate.expiry - certificate.start <= MAX_LIFETIME // timedelta(milliseconds=1):
        raise _fail(f".certificate: expiry must be after start, by at most {MAX_LIFETIME.days} days")
    if certificate.issuer is not None and not issuer_scopes.satisfies(CREATE_CLIENT + client_id):
        raise _fail(f".certificate.issuer: {certificate.issuer} does not have {CREATE_CLIENT}{client_id}")
    if not issuer_scopes.satisfies_all(certificate.scopes):
        lacking = [scope for scope in certificate.scopes if not issuer_scopes.satisfies(scope)]
        raise _fail(".certificate.scopes: the issuer does not have " + ", ".join(lacking[:10]))


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client signs with; `certificate` is JSON text, None for permanent credentials. Never printed whole."""

    client_id: str
    access_token: str
    certificate: str | None = None

    def __repr__(self) -> str:
        return f"Credentials(client_id={self.client_id!r}, …)"

    def to_wire(self) -> dict[str, str]:
        """Return clientId, accessToken and, of temporary ones, certificate."""
        wire = {"clientId": self.client_id, "accessToken": self.access_token}
        return wire if self.certificate is None else {**wire, "certificate": self.certificate}


def make_temporary_credentials(
    issuer: Credentials,
    *,
    start: datetime,
    expiry: datetime,
    scopes: Sequence[str],
    seed: str,
    name: str | None = None,
) -> Credentials:
    """Return credentials with `scopes` from `start` to `expiry`, called `name` or (unnamed) like the issuer.

    Args:
        issuer: Permanent credentials.
        expiry: At most `MAX_LIFETIME` after `start`.
        seed: 44 unguessable printable characters (two slugids).
    """
    certificate = Certificate(
        seed=seed,
        start=to_ms(start),
        expiry=to_ms(expiry),
        scopes=tuple(scopes),
        issuer=None if name is None else issuer.client_id,
        signature="",
    )
    token = issuer.access_token.encode()
    wire: dict[str, Any] = {
        "version": 1,
        "scopes": list(scopes),
        "start": certificate.start,
        "expiry": certificate.expiry,
        "seed": seed,
        "signature": sign_certificate(certificate, name or issuer.client_id, token),
    }
    if name is not None:
        wire["issuer"] = issuer.client_id
    return Credentials(
        name or issuer.client_id, temporary_token(seed, token), msgspec.json.encode(wire).decode()
    )
