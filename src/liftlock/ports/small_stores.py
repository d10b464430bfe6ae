"""The stores of two small services: requests to purge caches, and addresses that get no notifications."""

from __future__ import annotations

from typing import Protocol

import msgspec

from liftlock.ports.envelope import Envelope


class PurgeRequest(msgspec.Struct, frozen=True):
    """Caches called `cache_name` on workers of the pool, made before `before_ms`, are not to be used."""

    pool_id: str
    cache_name: str
    before_ms: int


class PurgeStore(Protocol):
    """Requests to purge caches."""

    async def request(self, purge: PurgeRequest, envelope: Envelope) -> None:
        """Store the request in place of an older one for that cache."""
        ...

    async def of_pool(self, pool_id: str, since_ms: int) -> list[PurgeRequest]:
        """Return the pool's requests made after `since_ms`, sorted by cache name."""
        ...

    async def all(self, after: tuple[str, str], limit: int) -> list[PurgeRequest]:
        """Return requests after (pool, cache), in that order."""
        ...

    async def expire(self, before_ms: int) -> int:
        """Forget requests made before `before_ms`; return how many."""
        ...


class Address(msgspec.Struct, frozen=True):
    """Where notifications go; `kind` is email, pulse, matrix-room or slack-channel."""

    kind: str
    address: str


class Denylist(Protocol):
    """Addresses that get no notifications."""

    async def add(self, address: Address, envelope: Envelope) -> None:
        """Deny the address; it may be denied already."""
        ...

    async def remove(self, address: Address, envelope: Envelope) -> None:
        """Allow the address; it may be allowed already."""
        ...

    async def denies(self, address: Address) -> bool:
        """Tell whether the address is denied."""
        ...

    async def listed(self, after: Address, limit: int) -> list[Address]:
        """Return denied addresses after `after`, sorted."""
        ...
