"""Giving rows of the audit log their places, and signing what the log has come to.

Source: docs/reference/audit.md
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from liftlock.domain.audit.note import Checkpoint, Verifier, sign
from liftlock.ports.audit_store import AuditStore, LogKey, StoredCheckpoint
from liftlock.ports.clock import Clock
from liftlock.ports.entropy import Entropy
from liftlock.ports.leases import Leases
from liftlock.ports.sealing import Sealer
from liftlock.values.instants import from_ms, to_ms

BATCH: Final = 256
"""Rows that get their places in one transaction: a few milliseconds."""
LEASE: Final = timedelta(seconds=10)
CHECKPOINT_EVERY: Final = timedelta(seconds=2)
"""A log that has grown is signed this often."""
CHECKPOINTS_KEPT: Final = timedelta(days=1)
"""So long every checkpoint is kept; of older ones the last of each hour."""
SEALED_AS: Final = "audit-log-key"
_SEED_BYTES: Final = 32


class LogSigner:
    """The log's key, shared by all control planes of one database: made once, stored sealed."""

    def __init__(self, store: AuditStore, sealer: Sealer, entropy: Entropy, name: str) -> None:
        """Make the signer; `name` is what a new log is called, such as `liftlock.example.org/audit`."""
        self._store = store
        self._sealer = sealer
        self._entropy = entropy
        self._name = name
        self._held: tuple[Verifier, Ed25519PrivateKey] | None = None

    async def verifier(self) -> Verifier:
        """Return the public key, under the log's name."""
        return (await self._key())[0]

    async def sign(self, size: int, root: bytes) -> str:
        """Return the signed note of the checkpoint."""
        verifier, private = await self._key()
        return sign(Checkpoint(verifier.name, size, root), verifier, private.sign)

    async def _key(self) -> tuple[Verifier, Ed25519PrivateKey]:
        if self._held is None:
            seed = self._entropy.token_bytes(_SEED_BYTES)
            public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
            kept = await self._store.key(
                LogKey(self._name, public, self._sealer.seal(seed, identity=SEALED_AS))
            )
            private = Ed25519PrivateKey.from_private_bytes(
                self._sealer.unseal(kept.sealed_seed, identity=SEALED_AS)
            )
            self._held = Verifier(kept.name, private.public_key().public_bytes_raw()), private
        return self._held


class SequenceAudit:
    """One step of the loop that sequences; of several control planes one at a time does it."""

    def __init__(
        self, store: AuditStore, signer: LogSigner, leases: Leases, clock: Clock, holder: str
    ) -> None:
        self._store = store
        self._signer = signer
        self._leases = leases
        self._clock = clock
        self._holder = holder

    async def step(self) -> int:
        """Give every row a place that has none yet, and sign the log if that is due; return how many rows."""
        total = 0
        while await self._leases.hold("sequence audit", self._holder, now=self._clock.now(), duration=LEASE):
            count = await self._store.sequence(BATCH)
            total += count
            if count < BATCH:
                await self._sign_if_due()
                break
        return total

    async def thin(self) -> int:
        """Forget old checkpoints but the last of each hour; return how many."""
        return await self._store.thin(to_ms(self._clock.now() - CHECKPOINTS_KEPT))

    async def _sign_if_due(self) -> None:
        size, last = await self._store.size(), await self._store.checkpoint(None)
        if size == 0 or (last is not None and last.size == size):
            return
        now = self._clock.now()
        if last is not None and now - from_ms(last.at_ms) < CHECKPOINT_EVERY:
            return
        note = await self._signer.sign(size, await self._store.root(size))
        await self._store.put_checkpoint(StoredCheckpoint(size, to_ms(now), note))
