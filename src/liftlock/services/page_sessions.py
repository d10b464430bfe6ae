"""Signing in to the pages, staying signed in, signing out.

A session is an opaque secret in the browser; the store knows its digest. It gives no scopes of its own: at each request
the caller gets those of the client, or those that the sign-in stated, expanded by the roles of that moment.

Source: docs/reference/pages.md#signing-in
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from liftlock.domain.credentials.page_sessions import (
    SECRET_BYTES,
    SESSION_LASTS,
    FormMark,
    check_form_token,
    form_token,
    proof_of,
    secret_text,
    stored_id,
)
from liftlock.errors import AuthenticationFailedError
from liftlock.ports.entropy import Entropy
from liftlock.ports.envelope import AuditRecord, Envelope, Nonce
from liftlock.ports.session_store import SessionRecord, SessionStore
from liftlock.services.access_snapshot import AccessCache
from liftlock.services.authorize import Authorizer, Caller
from liftlock.values.instants import from_ms, to_ms

LINK = "link"
"""The method of who signed in by a one-time link."""


@dataclass(frozen=True, slots=True)
class Started:
    """A session just begun: what the browser is to hold, until when."""

    secret: str
    client_id: str
    expires: datetime

    def __repr__(self) -> str:
        return f"Started({self.client_id!r}, …)"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who makes a request to the pages: the caller, and the session behind it."""

    caller: Caller
    session: SessionRecord
    secret: str

    def __repr__(self) -> str:
        return f"SignedIn({self.caller.client_id!r}, …)"


class PageSessions:
    """Begins, finds and ends sessions."""

    def __init__(
        self, store: SessionStore, authorizer: Authorizer, access: AccessCache, entropy: Entropy
    ) -> None:
        self._store = store
        self._authorizer = authorizer
        self._access = access
        self._entropy = entropy

    def new_secret(self) -> str:
        """Return an unguessable secret for a browser."""
        return secret_text(self._entropy.token_bytes(SECRET_BYTES))

    async def begin(
        self,
        client_id: str,
        scopes: Sequence[str] | None,
        now: datetime,
        *,
        method: str,
        old_secret: str | None = None,
        link: str | None = None,
        lasts: timedelta = SESSION_LASTS,
    ) -> Started:
        """Return a session for who proved to be `client_id`; the session of `old_secret` ends with that.

        The secret is always new: one that the browser was given before is never taken over.

        Args:
            scopes: None: what the client has at each request. Else these (`assume:login-identity:…`), for people who
                are no client.
            link: The stored id of the one-time link that this uses up.
        Raises:
            AuthenticationFailedError: the client is not in force, or the link was used or has expired.
        """
        proof = "" if scopes is not None else await self._proof(client_id, now)
        secret = self.new_secret()
        expires = now + min(lasts, SESSION_LASTS)
        record = SessionRecord(
            id=stored_id(secret) or "",
            client_id=client_id,
            scopes=None if scopes is None else tuple(scopes),
            proof=proof,
            method=method,
            created_ms=to_ms(now),
            expires_ms=to_ms(expires),
        )
        said = {"method": method} if scopes is None else {"method": method, "scopes": list(scopes)}
        audit = AuditRecord(client_id, "pages.signIn", f"client/{client_id}", "allowed", said)
        ends = None if old_secret is None else stored_id(old_secret)
        if not await self._store.begin(record, Envelope(now=now, audit=(audit,)), ends=ends, link=link):
            raise AuthenticationFailedError(
                "this sign-in link was used before or has expired: ask for a new one"
            )
        return Started(secret, client_id, expires)

    async def _proof(self, client_id: str, now: datetime) -> str:
        client = (await self._access.current(now)).client(client_id)
        if client is None or client.disabled or client.expires <= now:
            raise AuthenticationFailedError(f"client {client_id} is not in force")
        return proof_of(client.token)

    async def find(self, secret: str | None, now: datetime) -> SignedIn | None:
        """Return who holds `secret`; None if nobody does any more."""
        session_id = None if secret is None else stored_id(secret)
        if secret is None or session_id is None:
            return None
        record = await self._store.session(session_id)
        if record is None or to_ms(now) >= record.expires_ms:
            return None
        try:
            caller = await self._authorizer.signed_in(
                record.client_id, record.scopes, record.proof, from_ms(record.expires_ms), now
            )
        except AuthenticationFailedError:
            return None
        return SignedIn(caller, record, secret)

    async def end(self, signed_in: SignedIn, now: datetime) -> None:
        """End this session."""
        caller = signed_in.caller
        audit = caller.record("pages.signOut", f"client/{caller.client_id}")
        await self._store.end(signed_in.session.id, caller.envelope(now, audit))

    async def end_all(self, signed_in: SignedIn, now: datetime) -> int:
        """End all sessions of the same person; return how many there were."""
        caller = signed_in.caller
        audit = caller.record("pages.signOutEverywhere", f"client/{caller.client_id}")
        return await self._store.end_all(caller.client_id, caller.envelope(now, audit))

    async def expire(self, now: datetime) -> int:
        """Forget sessions and links that have expired."""
        return await self._store.expire(to_ms(now))

    def form_token(self, secret: str, now: datetime) -> str:
        """Return a token for one form; it can be sent once, within an hour."""
        return form_token(secret, FormMark(to_ms(now) // 1000, self._entropy.slugid()))


def with_form(caller: Caller, secret: str, token: str, now: datetime) -> Caller | str:
    """Return the caller with the form's mark as its nonce, so that it takes effect once; or why the form is refused."""
    mark = check_form_token(secret, token, to_ms(now) // 1000)
    if isinstance(mark, str):
        return mark
    return msgspec.structs.replace(caller, nonce=Nonce(f"page/{caller.client_id}", mark.ts, mark.nonce))
