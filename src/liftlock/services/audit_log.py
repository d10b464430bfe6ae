"""Reading the audit log: its rows, its signed checkpoints, and proofs.

Source: docs/reference/audit.md
"""

from __future__ import annotations

from typing import NamedTuple

from liftlock.domain.audit.verification import Sequenced
from liftlock.errors import NotFoundError
from liftlock.ports.audit_store import AuditFilter, AuditStore, PlacedRow, StoredCheckpoint
from liftlock.services.authorize import Caller
from liftlock.services.sequence_audit import LogSigner

READ = "liftlock:audit:read"


class Inclusion(NamedTuple):
    """A row, and the path from its leaf to the root of a signed checkpoint."""

    entry: Sequenced
    path: list[bytes]
    checkpoint: StoredCheckpoint


class AuditLog:
    """Answers questions about the log. Rows need `liftlock:audit:read`; hashes and signatures are for everybody."""

    def __init__(self, store: AuditStore, signer: LogSigner) -> None:
        self._store = store
        self._signer = signer

    async def key(self) -> str:
        """Return the log's public key as text."""
        return (await self._signer.verifier()).text

    async def tail(self, caller: Caller, wanted: AuditFilter, *, before: int, limit: int) -> list[PlacedRow]:
        """Return rows with an id below `before`, newest first."""
        caller.require(READ)
        return await self._store.rows(wanted, before=before, limit=limit)

    async def entries(self, caller: Caller, begin: int, limit: int) -> list[Sequenced]:
        """Return what stands at the places from `begin` on."""
        caller.require(READ)
        return await self._store.entries(begin, limit)

    async def checkpoint(self, size: int | None) -> StoredCheckpoint:
        """Return the checkpoint of that size, or the newest; NotFoundError: there is none."""
        found = await self._store.checkpoint(size)
        if found is None:
            which = (
                "nothing was signed yet: a row is within seconds"
                if size is None
                else f"none of size {size} is kept"
            )
            raise NotFoundError(f"audit checkpoint: {which}")
        return found

    async def checkpoints(self, after: int, limit: int) -> list[StoredCheckpoint]:
        """Return checkpoints of more than `after` rows, the smallest first."""
        return await self._store.checkpoints(after, limit)

    async def inclusion(self, caller: Caller, seq: int, size: int | None) -> Inclusion:
        """Return the proof that the row at `seq` is in the checkpoint of that size, or in the newest.

        Raises:
            NotFoundError: no such place below the checkpoint, or no such checkpoint.
        """
        caller.require(READ)
        checkpoint = await self.checkpoint(size)
        if seq >= checkpoint.size:
            raise NotFoundError(f"audit row {seq}: the checkpoint is of the rows 0 to {checkpoint.size - 1}")
        [entry] = await self._store.entries(seq, 1)
        return Inclusion(entry, await self._store.inclusion(seq, checkpoint.size), checkpoint)

    async def consistency(self, old: int, new: int) -> list[bytes]:
        """Return the proof that the first `old` rows are a beginning of the first `new`.

        Raises:
            NotFoundError: expected old <= new, and new rows in the log.
        """
        size = await self._store.size()
        if not old <= new <= size:
            raise NotFoundError(f"audit consistency from {old} to {new}: expected OLD <= NEW <= {size}")
        return await self._store.consistency(old, new)
