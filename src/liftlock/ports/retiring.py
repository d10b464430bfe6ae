"""Scopes of roles that are to be taken away, and who still needs them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple, Protocol

from liftlock.ports.envelope import Envelope


class RetiringUse(NamedTuple):
    """Who needed what, how often, and when last."""

    client_id: str
    need: str
    uses: int
    last: datetime


class RetiringStore(Protocol):
    """Keeps both."""

    async def put(self, role_id: str, scopes: tuple[str, ...], envelope: Envelope) -> None:
        """Say which of the role's scopes are retiring; none forgets the role."""
        ...

    async def all(self) -> dict[str, tuple[str, ...]]:
        """Return role id → its retiring scopes, by id."""
        ...

    async def count(self, uses: Mapping[tuple[str, str], int], envelope: Envelope) -> None:
        """Add up what was used: (client id, need) → how often."""
        ...

    async def uses(self, limit: int) -> list[RetiringUse]:
        """Return up to `limit` uses, the latest first."""
        ...
