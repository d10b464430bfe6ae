"""Screens beside pushes and tasks: provenance, operations, audit, gate, configuration."""

from __future__ import annotations

from pathlib import Path

from liftlock.adapters.blobs.local import LocalBlobs
from liftlock.adapters.gate_desk.operator_socket import NoGate, OperatorSocket
from liftlock.adapters.keys.published_keys import PublishedKeys
from liftlock.adapters.sql.configuration_store import SqlConfigurationStore
from liftlock.adapters.sql.operation_store import SqlOperationStore
from liftlock.adapters.sql.push_store import SqlPushStore
from liftlock.processes.parts.foundation import Foundation
from liftlock.processes.parts.operations import OperationServices
from liftlock.processes.parts.queue import BLOBS
from liftlock.services.applied_configuration import AppliedConfiguration
from liftlock.services.artifact_reads import ArtifactReads
from liftlock.services.audit_log import AuditLog
from liftlock.services.gate_seen import GateSeen
from liftlock.services.live_changes import LiveChanges
from liftlock.services.operations_seen import OperationsSeen
from liftlock.services.provenance_seen import SeeProvenance
from liftlock.services.task_queries import TaskQueries
from liftlock.web.pages.ask import Ask
from liftlock.web.pages.audit import AuditPages
from liftlock.web.pages.configuration import ConfigurationPages
from liftlock.web.pages.gate import GatePages
from liftlock.web.pages.operations import OperationPages
from liftlock.web.pages.page import Page
from liftlock.web.pages.provenance import ProvenancePages
from liftlock.web.push_wire import push_wire


def gate_seen(base: Foundation) -> GateSeen:
    """Return the gate of this host, or one that says that there is none."""
    run = base.told.gate_run
    return GateSeen(NoGate() if run is None else OperatorSocket(Path(run)))


def pages(
    base: Foundation,
    reads: ArtifactReads,
    changes: LiveChanges,
    operations: OperationServices,
    log: AuditLog,
    gate: GateSeen,
) -> list[Page]:
    """Return the screens' pages."""
    keys = PublishedKeys(Path(base.told.published_keys or str(base.directory / "published.json")))
    see = SeeProvenance(reads, LocalBlobs(base.directory / BLOBS), SqlPushStore(base.engine), keys, push_wire)
    seen = OperationsSeen(operations.configured, operations.operations, SqlOperationStore(base.engine))
    return [
        *ProvenancePages(base.tasks, TaskQueries(base.tasks), see).routes(),
        *Ask(operations.operations, operations.request).routes(),
        *OperationPages(operations.operations, seen, operations.say, changes).routes(),
        *AuditPages(log).routes(),
        *GatePages(gate).routes(),
        *ConfigurationPages(AppliedConfiguration(SqlConfigurationStore(base.engine))).routes(),
    ]
