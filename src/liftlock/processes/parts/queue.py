"""The queue: tasks, claims, artifacts, workers; and what stands around it: index, secrets, caches, pools, notifications."""

from __future__ import annotations

from datetime import timedelta

from liftlock.adapters.blobs.local import LocalBlobs
from liftlock.adapters.mail.smtp import SmtpMailer, parse_server
from liftlock.adapters.sql.artifact_store import SqlArtifactStore
from liftlock.adapters.sql.event_log import SqlEventCursors, SqlEventLog
from liftlock.adapters.sql.index_store import SqlIndexStore
from liftlock.adapters.sql.mail_store import SqlMailStore
from liftlock.adapters.sql.secret_store import SqlSecretStore
from liftlock.adapters.sql.shell_store import SqlShellStore
from liftlock.adapters.sql.small_stores import SqlDenylist, SqlPurgeStore
from liftlock.adapters.sql.worker_store import SqlWorkerStore
from liftlock.ports.event_log import CHANNEL
from liftlock.processes.loops import Loop
from liftlock.processes.parts.foundation import Foundation, Part
from liftlock.services.artifact_reads import ArtifactReads
from liftlock.services.artifact_uploads import ArtifactUploads
from liftlock.services.check_task_graph import CheckTaskGraph
from liftlock.services.claim_work import ClaimWork
from liftlock.services.mail_by_routes import MailByRoutes
from liftlock.services.notifications import Notifications
from liftlock.services.objects import Objects
from liftlock.services.purge_cache import PurgeCache
from liftlock.services.secrets import Secrets
from liftlock.services.send_mail import SendMail
from liftlock.services.shells import Shells
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
    api_queue_shells,
    api_queue_tasks,
    api_queue_workers,
    api_secrets,
    api_worker_manager,
)

BLOBS = "blobs"
"""The directory of blobs, below the control plane's own."""
LEFTOVERS_KEPT = timedelta(days=1)
"""Longer than any upload takes: another control plane may share the directory."""


def part(base: Foundation) -> Part:
    """Return the queue and object services, and those around them."""
    blobs = LocalBlobs(base.directory / BLOBS)
    blobs.remove_leftovers(before=base.clock.now() - LEFTOVERS_KEPT)
    artifacts, index = SqlArtifactStore(base.engine), SqlIndexStore(base.engine)
    secrets, workers = SqlSecretStore(base.engine), SqlWorkerStore(base.engine)
    purges, denylist, mail = SqlPurgeStore(base.engine), SqlDenylist(base.engine), SqlMailStore(base.engine)
    uploads = ArtifactUploads(base.tasks, artifacts, blobs, base.entropy, base.credentials)
    reads = ArtifactReads(base.tasks, artifacts, blobs, base.sealer, base.wakeups, base.credentials)
    seen = Workers(workers, base.tasks)
    shells = Shells(SqlShellStore(base.engine), base.tasks, base.wakeups, base.clock)
    sweep_tasks = SweepTasks(base.tasks, base.leases, base.clock, base.holder)
    sweep_expired = SweepExpired(
        artifacts, blobs, index, secrets, workers, purges, base.leases, base.clock, base.holder
    )
    return Part(
        (
            *api_queue_tasks.routes(
                base.create_task,
                CheckTaskGraph(base.tasks),
                TaskLifecycle(base.tasks, base.operations.privileged_queues),
                TaskQueries(base.tasks),
            ),
            *api_queue_claims.routes(ClaimWork(base.tasks, base.wakeups, base.clock, base.credentials)),
            *api_queue_artifacts.routes(uploads, reads),
            *api_queue_shells.routes(shells),
            *api_queue_workers.routes(seen),
            *api_object.routes(Objects(artifacts, blobs, base.entropy, base.sealer)),
            *api_index.routes(TaskIndex(index), reads),
            *api_secrets.routes(Secrets(secrets, base.sealer)),
            *api_purge_cache.routes(PurgeCache(purges)),
            *api_worker_manager.routes(WorkerPools(workers, base.credentials, base.entropy), seen),
            *api_notify.routes(Notifications(denylist, mail if base.told.mail else None)),
        ),
        (
            Loop("end claims and deadlines", sweep_tasks.step, 1),
            Loop("forget what has expired", sweep_expired.step, 60),
            Loop("forget what was typed into shells", shells.step, 3600),
            *_mail_loops(base, mail, denylist),
        ),
    )


def _mail_loops(base: Foundation, mail: SqlMailStore, denylist: SqlDenylist) -> tuple[Loop, ...]:
    """Return the loops that queue e-mail about tasks and send it, none without a mail server."""
    if base.told.mail is None:
        return ()
    mailer = SmtpMailer(parse_server(base.told.mail))
    send = SendMail(mail, mailer, denylist, base.leases, base.clock, base.holder)
    routes = MailByRoutes(
        SqlEventLog(base.engine),
        SqlEventCursors(base.engine),
        base.tasks,
        mail,
        base.leases,
        base.clock,
        base.holder,
        base.told.root_url,
    )
    return (
        Loop("send e-mail", send.step, 0.5),
        Loop("queue e-mail by routes", routes.step, 1, CHANNEL),
    )
