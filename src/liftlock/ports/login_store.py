"""Sign-ins that are under way, and what third parties were promised. Secrets are stored as their digests."""

from __future__ import annotations

from typing import Protocol

import msgspec

from liftlock.ports.envelope import Envelope


class LoginAttempt(msgspec.Struct, frozen=True):
    """A browser was sent to an identity provider. `id` is the stored id of the state; `browser` that of its cookie.

    `verifier` and `nonce` belong to this attempt alone; `next` is a path of this site.
    """

    id: str
    provider: str
    browser: str
    verifier: str
    nonce: str
    next: str
    expires_ms: int


class ThirdPartyGrant(msgspec.Struct, frozen=True):
    """A person let a program act. `id` is the stored id of the code, later of the bearer token.

    `client_id` is of the client that is made for the program; `until_ms` is when that ends. `person` is who consented,
    `own` what that sign-in stated; `proof` is set instead for a person who is a client (as in `SessionRecord`).
    """

    id: str
    kind: str
    party: str
    redirect_uri: str
    challenge: str
    person: str
    own: tuple[str, ...]
    proof: str
    client_id: str
    scopes: tuple[str, ...]
    until_ms: int
    expires_ms: int


class LoginStore(Protocol):
    """Keeps both. What is taken is gone: the second who takes it gets nothing."""

    async def begin(self, attempt: LoginAttempt) -> None:
        """Store the attempt."""
        ...

    async def take_attempt(self, attempt_id: str) -> LoginAttempt | None:
        """Return the attempt and forget it; None if there is none."""
        ...

    async def grant(self, grant: ThirdPartyGrant, envelope: Envelope) -> None:
        """Store the grant; nobody has it yet."""
        ...

    async def take_grant(self, grant_id: str, kind: str) -> ThirdPartyGrant | None:
        """Return the grant and forget it; None if there is none of that kind."""
        ...

    async def expire(self, now_ms: int) -> None:
        """Forget what has expired."""
        ...
