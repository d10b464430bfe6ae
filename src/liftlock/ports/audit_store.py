"""The audit log in the store: rows that transactions wrote, their places in the tree, and signed checkpoints."""

from __future__ import annotations

from typing import Protocol

import msgspec

from liftlock.domain.audit.entry import Row
from liftlock.domain.audit.verification import Sequenced


class LogKey(msgspec.Struct, frozen=True):
    """The key that signs checkpoints: the log's name, the public key, and the private one, sealed."""

    name: str
    public: bytes
    sealed_seed: str


class StoredCheckpoint(msgspec.Struct, frozen=True):
    """A signed checkpoint of the first `size` rows, made at `at_ms`."""

    size: int
    at_ms: int
    note: str


class PlacedRow(msgspec.Struct, frozen=True):
    """A row and its place; `seq` is None while it is not sequenced."""

    seq: int | None
    row: Row


class AuditFilter(msgspec.Struct, frozen=True):
    """Which rows are wanted; None: any. `subject` and `action` match from the beginning."""

    actor: str | None = None
    action: str | None = None
    subject: str | None = None
    verdict: str | None = None


class AuditStore(Protocol):
    """Reads the log, and gives rows their places."""

    async def sequence(self, limit: int) -> int:
        """Give places to at most `limit` rows that have none, in the order of their ids; return how many got one.

        Safe with several callers at once: places have no gaps, and none is given twice.

        Raises:
            StorageError: the stored tree is damaged, so that nothing can be added to it.
        """
        ...

    async def size(self) -> int:
        """Return how many rows have a place."""
        ...

    async def rows(self, wanted: AuditFilter, *, before: int, limit: int) -> list[PlacedRow]:
        """Return up to `limit` rows with an id below `before`, newest first."""
        ...

    async def entries(self, begin: int, limit: int) -> list[Sequenced]:
        """Return what stands at the places `begin` to `begin + limit - 1`, as far as there are such.

        The hashes are from the tree and the rows from the log: they differ where somebody changed one of them. Where
        the tree lacks a hash, it is empty.
        """
        ...

    async def root(self, size: int) -> bytes:
        """Return the root of the first `size` rows (at least one, at most `size()`), from the stored hashes."""
        ...

    async def inclusion(self, seq: int, size: int) -> list[bytes]:
        """Return the path from place `seq` to the root of the first `size` rows."""
        ...

    async def consistency(self, old: int, new: int) -> list[bytes]:
        """Return the proof that the first `old` rows are a beginning of the first `new` ones."""
        ...

    async def key(self, fresh: LogKey) -> LogKey:
        """Return the log's key; `fresh` becomes it if there was none."""
        ...

    async def put_checkpoint(self, checkpoint: StoredCheckpoint) -> None:
        """Keep the checkpoint, unless there is one of that size."""
        ...

    async def checkpoint(self, size: int | None) -> StoredCheckpoint | None:
        """Return the checkpoint of that size (None: the newest), or None."""
        ...

    async def checkpoints(self, after: int, limit: int) -> list[StoredCheckpoint]:
        """Return checkpoints of more than `after` rows, the smallest first."""
        ...

    async def thin(self, before_ms: int) -> int:
        """Forget all checkpoints made before `before_ms` but the last of each hour; return how many."""
        ...
