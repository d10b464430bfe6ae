"""One-time links that sign somebody in to the pages: for installations without another way to sign in.

Who makes one could act as that person, so he needs everything that the person may.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from liftlock.domain.credentials.page_sessions import (
    MAX_LINK_LASTS,
    SECRET_BYTES,
    secret_text,
    stored_id,
)
from liftlock.domain.scopes.satisfaction import AllOf
from liftlock.errors import AuthenticationFailedError, InputInvalidError, NotFoundError
from liftlock.ports.entropy import Entropy
from liftlock.ports.session_store import SessionStore, SignInLink
from liftlock.services.access_snapshot import AccessCache
from liftlock.services.authorize import Caller
from liftlock.services.page_sessions import LINK, PageSessions, Started
from liftlock.values.ids import client_id as parse_client_id
from liftlock.values.instants import format_instant, to_ms

SIGN_IN_SCOPE = "auth:sign-in-link:"


@dataclass(frozen=True, slots=True)
class MadeLink:
    """A link's secret, shown this once."""

    secret: str
    client_id: str
    expires: datetime

    def __repr__(self) -> str:
        return f"MadeLink({self.client_id!r}, …)"


class SignInLinks:
    """Makes links, and takes them back for a session."""

    def __init__(
        self, store: SessionStore, sessions: PageSessions, access: AccessCache, entropy: Entropy
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._access = access
        self._entropy = entropy

    async def make(self, caller: Caller, client_id: str, lasts: timedelta, now: datetime) -> MadeLink:
        """Return a link that signs in as `client_id` once, within `lasts`.

        Raises:
            RefusedError: the caller lacks `auth:sign-in-link:<clientId>` or something that the client has.
            NotFoundError: there is no such client, or it is not in force.
            InputInvalidError: `lasts` is not within a minute and `MAX_LINK_LASTS`.
        """
        caller.require(SIGN_IN_SCOPE + parse_client_id(client_id))
        if not timedelta(minutes=1) <= lasts <= MAX_LINK_LASTS:
            raise InputInvalidError("validForSeconds: expected 60 to 86400: a link lasts a day at most")
        client = (await self._access.current(now)).client(client_id)
        if client is None or client.disabled or client.expires <= now:
            raise NotFoundError(f"there is no client {client_id} in force")
        caller.require(AllOf(*client.scopes))
        secret = secret_text(self._entropy.token_bytes(SECRET_BYTES))
        link = SignInLink(
            id=stored_id(secret) or "",
            client_id=client_id,
            made_by=caller.client_id,
            created_ms=to_ms(now),
            expires_ms=to_ms(now + lasts),
        )
        audit = caller.record(
            "auth.makeSignInLink", f"client/{client_id}", expires=format_instant(now + lasts)
        )
        await self._store.put_link(link, caller.envelope(now, audit))
        return MadeLink(secret, client_id, now + lasts)

    async def look(self, secret: str, now: datetime) -> SignInLink:
        """Return the link without using it up.

        Raises:
            AuthenticationFailedError: there is none, it was used, or it has expired.
        """
        link_id = stored_id(secret)
        found = None if link_id is None else await self._store.link(link_id)
        if found is None or to_ms(now) >= found.expires_ms:
            raise AuthenticationFailedError(
                "this sign-in link was used before or has expired: ask for a new one"
            )
        return found

    async def use(self, secret: str, old_secret: str | None, now: datetime) -> Started:
        """Return the session that the link gives, once; errors as in `look`."""
        link = await self.look(secret, now)
        return await self._sessions.begin(
            link.client_id, None, now, method=LINK, old_secret=old_secret, link=link.id
        )
