"""The store of the index: namespaces that lead to tasks."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from liftlock.domain.tasks.index_routes import IndexEntry
from liftlock.ports.envelope import Envelope


class IndexedTask(msgspec.Struct, frozen=True):
    """What a namespace leads to."""

    namespace: str
    task_id: str
    rank: float
    data: Any
    expires_ms: int


class Namespace(msgspec.Struct, frozen=True):
    """A namespace with something below it; it expires with the last of that."""

    namespace: str
    name: str
    expires_ms: int


class IndexStore(Protocol):
    """Indexed tasks. Expired ones are never returned."""

    async def insert(self, entry: IndexEntry, task_id: str, envelope: Envelope) -> IndexedTask:
        """Return what the namespace now leads to: the new task, or one of greater rank that was there."""
        ...

    async def find(self, namespace: str, now_ms: int) -> IndexedTask | None:
        """Return what the namespace leads to, or None."""
        ...

    async def namespaces(self, parent: str, after: str, limit: int, now_ms: int) -> list[Namespace]:
        """Return namespaces directly below `parent` (may be empty) with names after `after`, sorted by name."""
        ...

    async def tasks(self, parent: str, after: str, limit: int, now_ms: int) -> list[IndexedTask]:
        """Return indexed tasks directly below `parent` with names after `after`, sorted by name."""
        ...

    async def delete(self, namespace: str, envelope: Envelope) -> None:
        """Let the namespace lead nowhere; it may have done so before."""
        ...

    async def expire(self, now_ms: int, limit: int) -> int:
        """Forget up to `limit` expired entries and namespaces each; return how many."""
        ...
