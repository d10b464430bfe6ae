"""Rings that were left while nobody answered: written by hooks that run as the pusher, read by liftlock."""

from __future__ import annotations

from typing import Protocol

import msgspec

from liftlock.domain.pushes.push import Claim


class Ring(msgspec.Struct, frozen=True, kw_only=True):
    """A hint that `project` may have moved, with what its hook claims. It has no authority."""

    project: str
    claims: tuple[Claim, ...] = ()


class Doorbells(Protocol):
    """Where rings are left."""

    async def take(self) -> list[Ring]:
        """Return the rings that were left, oldest first, and remove them; what is no ring is removed as well."""
        ...
