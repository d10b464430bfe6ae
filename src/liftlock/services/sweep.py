"""What time does: lapsed claims, passed deadlines, expired tasks, artifacts and everything else that expires."""

from __future__ import annotations

from datetime import timedelta

from liftlock.ports.artifact_store import ArtifactStore
from liftlock.ports.blobs import Blobs
from liftlock.ports.clock import Clock
from liftlock.ports.index_store import IndexStore
from liftlock.ports.leases import Leases
from liftlock.ports.secret_store import SecretStore
from liftlock.ports.small_stores import PurgeStore
from liftlock.ports.task_store import TaskStore
from liftlock.ports.worker_store import WorkerStore
from liftlock.services.purge_cache import KEPT
from liftlock.values.instants import to_ms

BATCH = 200
LEASE = timedelta(seconds=30)
BLOB_GRACE = timedelta(days=1)
"""How long a blob that nothing refers to stays: longer than any upload takes from its bytes to its record."""
SECRET_GRACE = timedelta(days=30)
"""How long an expired secret is answered with 410, not 404."""


class SweepTasks:
    """One step of the loop that ends claims and tasks in time; of several control planes one at a time does it."""

    def __init__(self, store: TaskStore, leases: Leases, clock: Clock, holder: str) -> None:
        self._store = store
        self._leases = leases
        self._clock = clock
        self._holder = holder

    async def step(self) -> int:
        """Handle all tasks that are due, in batches; return how many."""
        total = 0
        if not await self._store.has_due(to_ms(self._clock.now())):
            return total
        while await self._leases.hold("sweep tasks", self._holder, now=self._clock.now(), duration=LEASE):
            count = await self._store.sweep(to_ms(self._clock.now()), BATCH)
            total += count
            if count < BATCH:
                break
        return total


class SweepExpired:
    """One step of the loop that forgets what has expired, and removes bytes that nothing refers to."""

    def __init__(
        self,
        artifacts: ArtifactStore,
        blobs: Blobs,
        index: IndexStore,
        secrets: SecretStore,
        workers: WorkerStore,
        purges: PurgeStore,
        leases: Leases,
        clock: Clock,
        holder: str,
    ) -> None:
        self._artifacts = artifacts
        self._blobs = blobs
        self._index = index
        self._secrets = secrets
        self._workers = workers
        self._purges = purges
        self._leases = leases
        self._clock = clock
        self._holder = holder

    async def step(self) -> int:
        """Forget a batch of everything that has expired; return how many rows and blobs went."""
        now = self._clock.now()
        if not await self._leases.hold("sweep expired", self._holder, now=now, duration=LEASE):
            return 0
        now_ms = to_ms(now)
        count = await self._artifacts.expire(now_ms, BATCH)
        count += await self._index.expire(now_ms, BATCH)
        count += await self._secrets.expire(to_ms(now - SECRET_GRACE))
        count += await self._workers.expire(now_ms)
        count += await self._purges.expire(to_ms(now - KEPT))
        before = now - BLOB_GRACE
        for blob in await self._artifacts.orphans(to_ms(before), BATCH):
            if await self._blobs.remove(blob, unused_since=before):
                count += 1
            await self._artifacts.buried(blob)
        return count
