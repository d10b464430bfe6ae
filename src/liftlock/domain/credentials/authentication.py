"""Who calls: from a request's facts and the known clients to a principal with its scopes, or a reason why not.

Source: docs/reference/access.md#authentication
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec

from liftlock.domain.credentials.certificates import (
    Extension,
    check_certificate,
    parse_extension,
    temporary_token,
)
from liftlock.domain.credentials.hawk import (
    Attributes,
    Target,
    parse_bewit,
    parse_header,
    payload_hash,
    take_bewit,
    verify_payload_hash,
    verify_signature,
    verify_time,
)
from liftlock.domain.scopes.attenuation import attenuate, expand_caller
from liftlock.domain.scopes.roles import ANONYMOUS, RoleBook
from liftlock.domain.scopes.satisfaction import Refusal, ScopeSet, render
from liftlock.errors import AuthenticationFailedError
from liftlock.values.instants import from_ms

ANONYMOUS_CLIENT: Final = "anonymous"
"""How a caller without credentials is called in records; it is no client's id in force."""
_NO_TOKEN: Final = b"no such client"
_ANONYMOUS_LASTS: Final = timedelta(minutes=15)


class KnownClient(msgspec.Struct, frozen=True):
    """A client as authentication needs it. `expanded` is the closure of `scopes`, without what everyone has."""

    client_id: str
    token: bytes
    scopes: tuple[str, ...]
    expanded: ScopeSet
    expires: datetime
    disabled: bool

    def __repr__(self) -> str:
        return f"KnownClient(client_id={self.client_id!r}, …)"


class Signed(msgspec.Struct, frozen=True):
    """A request as it was received. `body` None: it streams, and its hash is checked when it has been read."""

    target: Target
    authorization: str | None
    content_type: str = ""
    body: bytes | None = None


class Principal(msgspec.Struct, frozen=True):
    """Who calls. `own` are its scopes before expansion, `scopes` after; `nonce` is (ts, nonce) of a Hawk header.

    `payload_hash` is what the header states of the body, or None.
    """

    client_id: str
    scheme: Literal["hawk", "bewit", "none"]
    own: tuple[str, ...]
    scopes: ScopeSet
    expires: datetime
    nonce: tuple[int, str] | None = None
    payload_hash: str | None = None
    issuer: str = ""
    """The client whose token proved it, and whose scopes `own` are, or are a part of; empty without credentials."""


Lookup = Callable[[str], KnownClient | None]


def authenticate(request: Signed, lookup: Lookup, book: RoleBook, now: datetime) -> Principal:
    """Return who made `request`; a caller without credentials is anonymous.

    Raises:
        AuthenticationFailedError: credentials are there and prove nothing; the message says why. Hostile input
            raises nothing else.
    """
    bewit = take_bewit(request.target.resource)
    if request.authorization is None and bewit is None:
        return Principal(
            ANONYMOUS_CLIENT, "none", (ANONYMOUS,), book.expand([ANONYMOUS]), now + _ANONYMOUS_LASTS
        )
    if request.authorization is None:
        assert bewit is not None
        return _by_bewit(request, *bewit, lookup, book, now)
    if bewit is not None:
        raise AuthenticationFailedError("a bewit and an Authorization header together: send one of them")
    said = parse_header(request.authorization)
    found = _identify(said, "header", request.target, lookup, book, now)
    verify_time(said, now.timestamp())
    if said.hash and request.body is not None:
        verify_payload_hash(said.hash, payload_hash(request.content_type, request.body))
    return Principal(
        said.id,
        "hawk",
        found.own,
        found.scopes,
        found.expires,
        (said.ts, said.nonce),
        said.hash or None,
        found.issuer,
    )


def _by_bewit(
    request: Signed, resource: str, bewit: str, lookup: Lookup, book: RoleBook, now: datetime
) -> Principal:
    if request.target.method != "GET":
        raise AuthenticationFailedError("a bewit signs GET requests only")
    said = parse_bewit(bewit)
    found = _identify(said, "bewit", request.target._replace(resource=resource), lookup, book, now)
    if said.ts <= now.timestamp():
        raise AuthenticationFailedError("bewit: the link has expired")
    until = min(found.expires, _at(said.ts))
    return Principal(said.id, "bewit", found.own, found.scopes, until, issuer=found.issuer)


def _at(seconds: int) -> datetime:
    return from_ms(min(seconds, 253_402_300_799) * 1000)


class _Identified(msgspec.Struct, frozen=True):
    own: tuple[str, ...]
    scopes: ScopeSet
    expires: datetime
    issuer: str


def _identify(
    said: Attributes,
    kind: Literal["header", "bewit"],
    target: Target,
    lookup: Lookup,
    book: RoleBook,
    now: datetime,
) -> _Identified:
    """Return whose signature it is; everything but its time and the body is checked."""
    ext = parse_extension(said.ext)
    certificate = ext.certificate
    issuer_id = said.id
    if certificate is not None and certificate.issuer is not None:
        issuer_id = certificate.issuer
        if issuer_id == said.id:
            raise AuthenticationFailedError("ext.certificate.issuer: must differ from the clientId")
    client = lookup(issuer_id)
    if client is None:
        verify_signature(kind, said, target, _NO_TOKEN)
        raise AuthenticationFailedError("no such client")
    key = client.token
    if certificate is not None:
        check_certificate(certificate, said.id, client.token, client.expanded, now)
        key = temporary_token(certificate.seed, client.token).encode()
    verify_signature(kind, said, target, key)
    _check_in_force(client, now)
    return _restrict(client, ext, book)


def _check_in_force(client: KnownClient, now: datetime) -> None:
    """Said only to who proved to hold the token."""
    if client.disabled:
        raise AuthenticationFailedError(f"client {client.client_id} is disabled")
    if client.expires <= now:
        raise AuthenticationFailedError(f"client {client.client_id} has expired")


def _restrict(client: KnownClient, ext: Extension, book: RoleBook) -> _Identified:
    own, expires = client.scopes, client.expires
    if ext.certificate is not None:
        own = ext.certificate.scopes
        expires = min(expires, from_ms(min(ext.certificate.expiry, 253_402_300_799_000)))
    if ext.authorized_scopes is None:
        return _Identified((*own, ANONYMOUS), expand_caller(book, own), expires, client.client_id)
    scopes = attenuate(book, own, ext.authorized_scopes)
    if isinstance(scopes, Refusal):
        raise AuthenticationFailedError(
            f"ext.authorizedScopes: the credentials do not have:\n\n{render(scopes.unsatisfied)}"
        )
    return _Identified((*ext.authorized_scopes, ANONYMOUS), scopes, expires, client.client_id)
