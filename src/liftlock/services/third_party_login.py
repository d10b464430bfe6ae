"""Let a third party act for a person: consent, a code, a bearer token, and then credentials of its own.

Each step is used once. The credentials are those of a client below the person's own id, made by the person's own
rights at that moment, which ends by itself.

Source: docs/how-to/sign-in.md#third-parties
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec

from liftlock.domain.credentials.login_settings import LoginSettings
from liftlock.domain.credentials.page_sessions import SECRET_BYTES, secret_text, stored_id
from liftlock.domain.credentials.third_party import (
    BEARER_LASTS,
    CODE_LASTS,
    Issued,
    Redemption,
    Refusal,
    Unanswerable,
    Wish,
    granted,
    read_wish,
    redeemable,
)
from liftlock.errors import AuthenticationFailedError, RefusedError, StaleSnapshotError
from liftlock.ports.entropy import Entropy
from liftlock.ports.envelope import Envelope
from liftlock.ports.login_store import LoginStore, ThirdPartyGrant
from liftlock.ports.session_store import SessionRecord
from liftlock.services.access_snapshot import STATIC_PREFIX
from liftlock.services.authorize import Authorizer, Caller
from liftlock.services.clients import ClientInput, Clients
from liftlock.values.instants import format_instant, from_ms, to_ms

_CODE = "code"
_BEARER = "bearer"
_ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class Offer:
    """What the person is asked: the wish, what would be granted of it, what not."""

    wish: Wish
    given: tuple[str, ...]
    withheld: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ThirdPartyCredentials:
    """What the program gets."""

    client_id: str
    access_token: str
    expires: datetime

    def __repr__(self) -> str:
        return f"ThirdPartyCredentials({self.client_id!r}, …)"


class ThirdPartyLogin:
    """Grants programs what people consent to."""

    def __init__(
        self,
        settings: LoginSettings,
        store: LoginStore,
        clients: Clients,
        authorizer: Authorizer,
        entropy: Entropy,
    ) -> None:
        self._settings = settings
        self._store = store
        self._clients = clients
        self._authorizer = authorizer
        self._entropy = entropy

    def read(self, query: Mapping[str, str]) -> Wish | Refusal | Unanswerable:
        """Return what the request wishes for, or why it is refused and who may be told."""
        return read_wish(self._settings, query)

    def offer(self, caller: Caller, wish: Wish) -> Offer:
        """Return what the person would grant."""
        given, withheld = granted(wish, caller.scopes)
        return Offer(wish, given, withheld)

    async def consent(self, caller: Caller, session: SessionRecord, wish: Wish, now: datetime) -> str:
        """Return the code for the program; the person's form takes effect once.

        Raises:
            RefusedError: nothing of what the program asks for is the person's and the program's, or no person is
                signed in but a client of the configuration.
        """
        given = self.offer(caller, wish).given
        if caller.client_id.startswith(STATIC_PREFIX):
            raise RefusedError(
                f"{caller.client_id} belongs to the configuration and lets no program act for it; sign in as a person",
                rule="program-sign-in",
            )
        if not given:
            raise RefusedError(
                f"{wish.party.label} would get nothing: you have none of the scopes it asks for",
                rule="program-sign-in",
            )
        code = self._secret()
        mark = self._entropy.slugid()[:6].replace("_", "x").replace("-", "y")
        grant = ThirdPartyGrant(
            id=stored_id(code) or "",
            kind=_CODE,
            party=wish.party.client_id,
            redirect_uri=wish.redirect_uri,
            challenge=wish.challenge,
            person=caller.client_id,
            own=session.scopes or (),
            proof=session.proof,
            client_id=f"{caller.client_id}/{wish.party.client_id}-{mark}",
            scopes=given,
            until_ms=min(to_ms(now + wish.lasts), to_ms(now) + wish.party.longest_s * 1000),
            expires_ms=to_ms(now + CODE_LASTS),
        )
        audit = caller.record(
            "auth.thirdPartyConsent",
            f"client/{grant.client_id}",
            thirdParty=grant.party,
            scopes=list(given),
            expires=format_instant(from_ms(grant.until_ms)),
        )
        await self._store.grant(grant, caller.envelope(now, audit))
        return code

    async def redeem(self, code: str, sent: Redemption, now: datetime) -> tuple[str, int]:
        """Return a bearer token for a code, and how many seconds it holds.

        Raises:
            AuthenticationFailedError: the code was used, is over, or is not this program's. It is used up in any case.
        """
        grant = await self._take(code, _CODE, now)
        party = self._settings.third_party_of(grant.party)
        wrong = redeemable(party, Issued(grant.party, grant.redirect_uri, grant.challenge), sent)
        if wrong is not None:
            raise AuthenticationFailedError(wrong)
        bearer = self._secret()
        changed = msgspec.structs.replace(
            grant, id=stored_id(bearer) or "", kind=_BEARER, expires_ms=to_ms(now + BEARER_LASTS)
        )
        await self._store.grant(changed, Envelope(now=now))
        return bearer, int(BEARER_LASTS.total_seconds())

    async def credentials(self, bearer: str, now: datetime) -> ThirdPartyCredentials:
        """Return the program's credentials, once.

        Raises:
            AuthenticationFailedError: the token was used or is over, or the person is no client in force any more.
            RefusedError: the person has lost what was granted meanwhile.
        """
        grant = await self._take(bearer, _BEARER, now)
        expires = from_ms(grant.until_ms)
        given = ClientInput(
            description=f"{grant.party}, on behalf of {grant.person}",
            expires=expires,
            delete_on_expiration=True,
            scopes=grant.scopes,
        )
        for attempt in range(1, _ATTEMPTS + 1):
            person = await self._person(grant, now)
            try:
                made = await self._clients.create(person, grant.client_id, given, now)
            except StaleSnapshotError:
                self._authorizer.expire()
                if attempt == _ATTEMPTS:
                    raise
            else:
                return ThirdPartyCredentials(grant.client_id, made.access_token, expires)
        raise StaleSnapshotError("unreachable: attempts are bounded")

    async def _person(self, grant: ThirdPartyGrant, now: datetime) -> Caller:
        """Return the person as of now, who may make this one client."""
        stated = None if grant.proof else grant.own
        person = await self._authorizer.signed_in(
            grant.person, stated, grant.proof, from_ms(grant.until_ms), now
        )
        may_make = f"auth:create-client:{grant.client_id}"
        return await self._authorizer.internal(grant.person, [*person.own, may_make], now)

    async def _take(self, secret: str, kind: str, now: datetime) -> ThirdPartyGrant:
        grant_id = stored_id(secret)
        grant = None if grant_id is None else await self._store.take_grant(grant_id, kind)
        if grant is None or to_ms(now) >= grant.expires_ms:
            raise AuthenticationFailedError(f"the {kind} is unknown, was used before, or is over")
        return grant

    def _secret(self) -> str:
        return secret_text(self._entropy.token_bytes(SECRET_BYTES))
