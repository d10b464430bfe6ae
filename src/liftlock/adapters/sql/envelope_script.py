"""The script that every write runs around its own: guards first, then audit, outbox and further records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from liftlock.adapters.sql.records import script_of
from liftlock.adapters.sql.script import Each, Rows, Script, Sql, Wake
from liftlock.errors import ReplayedRequestError, StaleSnapshotError
from liftlock.ports.envelope import AuditRecord, Envelope, Event
from liftlock.ports.event_log import CHANNEL
from liftlock.values.instants import to_ms
from liftlock.values.json import encode

NONCE_BUCKET_S = 3600
"""Seconds of one time bucket of nonces; whole old buckets are dropped at once."""


def guards(envelope: Envelope) -> Script[None]:
    """Refuse a replayed request and a decision made on roles or clients that have changed."""
    nonce = envelope.nonce
    rows: Rows = []
    if nonce is not None:
        rows = yield Sql(
            "INSERT INTO request_nonce(bucket, client_id, ts, nonce) VALUES ($1, $2, $3, $4)"
            " ON CONFLICT DO NOTHING RETURNING (SELECT version FROM access_version)",
            (nonce.ts // NONCE_BUCKET_S, nonce.client_id, nonce.ts, nonce.nonce),
        )
        if not rows:
            raise ReplayedRequestError(
                "this signed request was received before; sign it again (a new nonce) if you mean to repeat it"
            )
    if envelope.access_version is not None:
        if nonce is None:
            rows = yield Sql("SELECT version FROM access_version")
        if rows[0][0] != envelope.access_version:
            raise StaleSnapshotError("roles or clients changed while the request was decided")


def trail(envelopes: Sequence[Envelope]) -> Script[None]:
    """Insert the audit records, the outbox rows and the further records."""
    yield audit_rows_at(audit_of(envelopes))
    yield from after_audit(envelopes)


def audit_of(envelopes: Sequence[Envelope]) -> list[tuple[AuditRecord, int]]:
    """Return the audit records of all envelopes, each with its time in milliseconds since 1970."""
    return [(record, to_ms(envelope.now)) for envelope in envelopes for record in envelope.audit]


def after_audit(envelopes: Sequence[Envelope]) -> Script[None]:
    """Insert the outbox rows and the further records."""
    events = [event for envelope in envelopes for event in envelope.events]
    if events:
        yield outbox_rows(events)
        yield Wake(CHANNEL)
    yield from script_of([record for envelope in envelopes for record in envelope.records])


def audit_rows(records: Sequence[AuditRecord], at_ms: int) -> Each:
    """Return what inserts all of `records`."""
    return audit_rows_at([(record, at_ms) for record in records])


def audit_rows_at(records: Sequence[tuple[AuditRecord, int]]) -> Each:
    """Return what inserts each of `records`, with its time in milliseconds since 1970."""
    return Each(
        "INSERT INTO audit(at, actor, action, subject, verdict, details, authority, seq)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, {audit_place})",
        audit_values(records),
    )


def audit_values(records: Sequence[tuple[AuditRecord, int]]) -> list[tuple[Any, ...]]:
    """Return time, actor, action, subject, verdict, details and authority of each of `records`."""
    return [
        (
            at_ms,
            record.actor,
            record.action,
            record.subject,
            record.verdict,
            encode(record.details).decode(),
            encode(record.authority).decode(),
        )
        for record, at_ms in records
    ]


def outbox_rows(events: Sequence[Event]) -> Each:
    """Return what inserts each of `events` into the outbox."""
    rows: list[tuple[str, str, str]] = []
    last: Event | None = None
    for event in events:
        alike = last is not None and event.body is last.body
        rows.append((event.topic, event.key, rows[-1][2] if alike else encode(event.body).decode()))
        last = event
    return Each("INSERT INTO outbox(topic, key, body) VALUES ($1, $2, $3)", rows)
