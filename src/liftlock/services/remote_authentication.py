"""Checking the signature of a request that somebody else received, and the client that exists to try out signing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from liftlock.domain.credentials.authentication import KnownClient, Principal, Signed, authenticate
from liftlock.domain.credentials.endpoint import signed_endpoint
from liftlock.domain.credentials.hawk import Target
from liftlock.domain.scopes.roles import RoleBook
from liftlock.domain.scopes.satisfaction import AllOf, ScopeSet
from liftlock.services.access_snapshot import FAR_FUTURE, AccessCache
from liftlock.services.authorize import Caller, HttpFacts

TESTER: Final = "tester"
TESTER_TOKEN: Final = b"no-secret"
_NO_ROLES: Final = RoleBook()


@dataclass(frozen=True, slots=True)
class Tested:
    """Who the tester's request came from, and its scopes in normal form, `assume:anonymous` among them."""

    client_id: str
    scopes: tuple[str, ...]


class RemoteAuthentication:
    """Answers services that received a signed request and ask who made it."""

    def __init__(self, access: AccessCache) -> None:
        self._access = access

    async def __call__(self, request: Signed, now: datetime) -> Principal:
        """Return who made `request`.

        The nonce is not recorded: replays of what others received are theirs to refuse.

        Raises:
            AuthenticationFailedError: the credentials prove nothing; the message says why.
        """
        snapshot = await self._access.current(now)
        return authenticate(request, snapshot.client, snapshot.book, now)


def authenticate_tester(
    facts: HttpFacts, scopes: tuple[str, ...], required: tuple[str, ...], now: datetime
) -> Tested:
    """Check a request signed by the client `tester` (token `no-secret`) with `scopes`; roles are not expanded.

    Raises:
        AuthenticationFailedError: the signature or what `ext` says is wrong.
        RefusedError: the resulting scopes do not satisfy `required`.
    """
    host, port = signed_endpoint(
        facts.host, forwarded_port=facts.forwarded_port, forwarded_proto=facts.forwarded_proto
    )
    tester = KnownClient(TESTER, TESTER_TOKEN, scopes, ScopeSet(scopes), FAR_FUTURE, disabled=False)
    signed = Signed(
        Target(facts.method, facts.target, host, port), facts.authorization, facts.content_type, facts.body
    )
    found = authenticate(signed, {TESTER: tester}.get, _NO_ROLES, now)
    caller = Caller(
        client_id=found.client_id, scopes=found.scopes, own=found.own, access_version=0, expires=found.expires
    )
    caller.require(AllOf(*required))
    return Tested(found.client_id, found.scopes.scopes)
