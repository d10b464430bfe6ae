"""The queue and the small services around it, put together: their routes, their loops, and what others build on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from liftlock.adapters.blobs.local import LocalBlobs
from liftlock.adapters.sql.artifact_store import SqlArtifactStore
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.index_store import SqlIndexStore
from liftlock.adapters.sql.lease import SqlLeases
from liftlock.adapters.sql.secret_store import SqlSecretStore
from liftlock.adapters.sql.small_stores import SqlDenylist, SqlPurgeStore
from liftlock.adapters.sql.task_store import SqlTaskStore
from liftlock.adapters.sql.worker_store import SqlWorkerStore
from liftlock.ports.blobs import Blobs
from liftlock.ports.clock import Clock
from liftlock.ports.entropy import Entropy
from liftlock.ports.sealing import Sealer
from liftlock.ports.wakeups import Wakeups
from liftlock.processes.loops import Loop
from liftlock.services.artifact_reads import ArtifactReads
from liftlock.services.artifact_uploads import ArtifactUploads
from liftlock.services.claim_work import ClaimWork
from liftlock.services.create_task import CreateTask
from liftlock.services.notifications import Notifications
from liftlock.services.objects import Objects
from liftlock.services.purge_cache import PurgeCache
from liftlock.services.run_credentials import RunCredentials
from liftlock.services.secrets import Secrets
from liftlock.services.sweep import SweepExpired, SweepTasks
from liftlock.services.task_index import TaskIndex
from liftlock.services.task_lifecycle import TaskLifecycle
from liftlock.services.task_queries import TaskQueries
from liftlock.services.worker_pools import WorkerPools
from liftlock.services.workers import Workers
from liftlock.web import (
    api_index,
    api_notify,
    api_object,
    api_purge_cache,
    api_queue_artifacts,
    api_queue_claims,
    api_queue_tasks,
    api_queue_workers,
    api_secrets,
    api_worker_manager,
)
from liftlock.web.routing import Route

BLOBS = "blobs"
"""The directory of blobs, below the control plane's own."""
LEFTOVERS_KEPT = timedelta(days=1)
"""Longer than any upload takes: another control plane may share the directory."""
SWEEP_TASKS_S = 1.0
SWEEP_EXPIRED_S = 60.0


@dataclass(frozen=True, slots=True)
class QueueParts:
    """What the queue gives to the rest of the control plane."""

    routes: tuple[Route, ...]
    loops: tuple[Loop, ...]
    tasks: SqlTaskStore
    artifacts: SqlArtifactStore
    index: SqlIndexStore
    blobs: Blobs
    create_task: CreateTask
    lifecycle: TaskLifecycle
    queries: TaskQueries
    reads: ArtifactReads


def queue_parts(
    engine: Engine,
    directory: Path,
    wakeups: Wakeups,
    clock: Clock,
    entropy: Entropy,
    sealer: Sealer,
    credentials: RunCredentials,
) -> QueueParts:
    """Build the queue on `engine`, its blobs below `directory`; nothing has run yet when this returns."""
    tasks, artifacts, index = SqlTaskStore(engine), SqlArtifactStore(engine), SqlIndexStore(engine)
    secrets, workers, purges = SqlSecretStore(engine), SqlWorkerStore(engine), SqlPurgeStore(engine)
    blobs = LocalBlobs(directory / BLOBS)
    blobs.remove_leftovers(before=clock.now() - LEFTOVERS_KEPT)
    create, lifecycle, queries = CreateTask(tasks), TaskLifecycle(tasks), TaskQueries(tasks)
    reads = ArtifactReads(tasks, artifacts, blobs, sealer, wakeups, credentials)
    seen = Workers(workers, tasks)
    routes = (
        *api_queue_tasks.routes(create, lifecycle, queries),
        *api_queue_claims.routes(ClaimWork(tasks, wakeups, clock, credentials)),
        *api_queue_artifacts.routes(ArtifactUploads(tasks, artifacts, blobs, entropy, credentials), reads),
        *api_queue_workers.routes(seen),
        *api_object.routes(Objects(artifacts, blobs, entropy, sealer)),
        *api_index.routes(TaskIndex(index), reads),
        *api_secrets.routes(Secrets(secrets, sealer)),
        *api_purge_cache.routes(PurgeCache(purges)),
        *api_worker_manager.routes(WorkerPools(workers, credentials, entropy), seen),
        *api_notify.routes(Notifications(SqlDenylist(engine), None)),
    )
    leases, holder = SqlLeases(engine), entropy.slugid()
    sweep_tasks = SweepTasks(tasks, leases, clock, holder)
    sweep_expired = SweepExpired(artifacts, blobs, index, secrets, workers, purges, leases, clock, holder)
    loops = (
        Loop("sweep tasks", sweep_tasks.step, SWEEP_TASKS_S),
        Loop("sweep expired", sweep_expired.step, SWEEP_EXPIRED_S),
    )
    return QueueParts(routes, loops, tasks, artifacts, index, blobs, create, lifecycle, queries, reads)
