"""The audit log: sequenced, signed, read."""

from __future__ import annotations

from urllib.parse import urlsplit

from liftlock.adapters.sql.audit_store import SqlAuditStore
from liftlock.processes.loops import Loop
from liftlock.processes.parts.foundation import Foundation, Part
from liftlock.services.audit_log import AuditLog
from liftlock.services.sequence_audit import LogSigner, SequenceAudit
from liftlock.web import api_audit

SEQUENCE_EVERY_S = 0.4
"""A row has its place within a second, also while the machine is busy."""


def part(base: Foundation) -> tuple[Part, AuditLog]:
    """Return the audit service, and the log for whoever shows it."""
    store = SqlAuditStore(base.engine)
    signer = LogSigner(store, base.sealer, base.entropy, f"{urlsplit(base.told.root_url).netloc}/audit")
    sequence = SequenceAudit(store, signer, base.leases, base.clock, base.holder)
    log = AuditLog(store, signer)
    loops = (
        Loop("sequence the audit log", sequence.step, SEQUENCE_EVERY_S),
        Loop("thin checkpoints of the audit log", sequence.thin, 600),
    )
    return Part(tuple(api_audit.routes(log)), loops), log
