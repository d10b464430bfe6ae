"""Who is signed in to the pages, and the links that sign somebody in once."""

from __future__ import annotations

from typing import Protocol

import msgspec

from liftlock.ports.envelope import Envelope


class SessionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A session. `id` is the sha256 of what the browser holds.

    `scopes` None: those that the client named has at each request; else these, not expanded. `proof` is a digest of
    what the sign-in relied on (the client's token), or empty: when that changes, the session ends. `method` says how
    the person signed in.
    """

    id: str
    client_id: str
    scopes: tuple[str, ...] | None
    proof: str
    method: str
    created_ms: int
    expires_ms: int


class SignInLink(msgspec.Struct, frozen=True, kw_only=True):
    """A link not yet used. `id` is the sha256 of what the link holds."""

    id: str
    client_id: str
    made_by: str
    created_ms: int
    expires_ms: int


class SessionStore(Protocol):
    """Sessions and links by the digest of their secret."""

    async def begin(
        self, session: SessionRecord, envelope: Envelope, *, ends: str | None, link: str | None
    ) -> bool:
        """Store the session, end the session `ends` and use up the link `link`; False (nothing done) if it is used up.

        The link counts as used up also from its expiry on.
        """
        ...

    async def session(self, session_id: str) -> SessionRecord | None:
        """Return the session, expired or not, or None."""
        ...

    async def sessions_of(self, client_id: str) -> list[SessionRecord]:
        """Return the client's sessions, the newest first, expired ones too."""
        ...

    async def end(self, session_id: str, envelope: Envelope) -> None:
        """Forget the session; there may be none."""
        ...

    async def end_all(self, client_id: str, envelope: Envelope) -> int:
        """Forget all sessions of the client; return how many there were."""
        ...

    async def put_link(self, link: SignInLink, envelope: Envelope) -> None:
        """Store the link."""
        ...

    async def link(self, link_id: str) -> SignInLink | None:
        """Return the link, expired or not, or None if it was never made or was used."""
        ...

    async def expire(self, before_ms: int) -> int:
        """Forget sessions and links that expired before `before_ms`; return how many."""
        ...
