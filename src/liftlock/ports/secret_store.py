"""The store of secrets, sealed before they get here."""

from __future__ import annotations

from typing import Protocol

import msgspec

from liftlock.ports.envelope import Envelope


class SealedSecret(msgspec.Struct, frozen=True):
    """A secret at rest; `sealed` gives nothing without the key."""

    name: str
    sealed: str
    expires_ms: int


class SecretStore(Protocol):
    """Secrets by name."""

    async def put(self, secret: SealedSecret, envelope: Envelope) -> None:
        """Store the secret in place of any of that name."""
        ...

    async def get(self, name: str) -> SealedSecret | None:
        """Return the secret, expired or not, or None."""
        ...

    async def note_read(self, envelope: Envelope) -> None:
        """Commit the audit record that a secret was read; it is given out only after that."""
        ...

    async def remove(self, name: str, envelope: Envelope) -> None:
        """Forget the secret; there may be none."""
        ...

    async def names(self, after: str, limit: int, now_ms: int) -> list[str]:
        """Return names after `after` of secrets that have not expired, sorted."""
        ...

    async def expire(self, before_ms: int) -> int:
        """Forget secrets that expired before `before_ms`; return how many."""
        ...
