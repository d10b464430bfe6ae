"""Tasks, claims and artifacts."""

from __future__ import annotations

from liftlock.adapters.blobs.local import LocalBlobs
from liftlock.adapters.sql.artifact_store import SqlArtifactStore
from liftlock.processes.loops import Loop
from liftlock.processes.parts.foundation import Foundation, Part
from liftlock.services.artifact_reads import ArtifactReads
from liftlock.services.artifact_uploads import ArtifactUploads
from liftlock.services.claim_work import ClaimWork
from liftlock.services.objects import Objects
from liftlock.services.sweep import SweepTasks
from liftlock.services.task_lifecycle import TaskLifecycle
from liftlock.services.task_queries import TaskQueries
from liftlock.web import api_object, api_queue_artifacts, api_queue_claims, api_queue_tasks


def part(base: Foundation) -> Part:
    """Return the queue and object services."""
    blobs = LocalBlobs(base.directory / "blobs")
    blobs.remove_leftovers(before=base.clock.now())
    artifacts = SqlArtifactStore(base.engine)
    uploads = ArtifactUploads(base.tasks, artifacts, blobs, base.entropy, base.credentials)
    reads = ArtifactReads(base.tasks, artifacts, blobs, base.sealer, base.wakeups, base.credentials)
    sweep = SweepTasks(base.tasks, base.leases, base.clock, base.holder)
    return Part(
        (
            *api_queue_tasks.routes(base.create_task, TaskLifecycle(base.tasks), TaskQueries(base.tasks)),
            *api_queue_claims.routes(ClaimWork(base.tasks, base.wakeups, base.clock, base.credentials)),
            *api_queue_artifacts.routes(uploads, reads),
            *api_object.routes(Objects(artifacts, blobs, base.entropy, base.sealer)),
        ),
        (Loop("end claims and deadlines", sweep.step, 1),),
    )
