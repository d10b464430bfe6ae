"""The script that every write runs around its own: guards first, then audit, outbox and further records."""

from __future__ import annotations

from functools import lru_cache

from liftlock.adapters.sql.records import script_of
from liftlock.adapters.sql.script import Rows, Script, Sql
from liftlock.errors import ReplayedRequestError, StaleSnapshotError
from liftlock.ports.envelope import AuditRecord, Envelope, Event
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


def trail(envelope: Envelope) -> Script[None]:
    """Insert the audit records, the outbox rows and the further records."""
    if envelope.audit:
        yield audit_rows(envelope.audit, to_ms(envelope.now))
    if envelope.events:
        yield outbox_rows(envelope.events)
    for record in envelope.records:
        yield from script_of(record)


def audit_rows(records: tuple[AuditRecord, ...], at_ms: int) -> Sql:
    """Return one statement that inserts all of `records`."""
    values = [
        value
        for record in records
        for value in (
            at_ms,
            record.actor,
            record.action,
            record.subject,
            record.verdict,
            encode(record.details).decode(),
            encode(record.authority).decode(),
        )
    ]
    return Sql(
        f"INSERT INTO audit(at, actor, action, subject, verdict, details, authority) VALUES {_tuples(len(records), 7)}",  # noqa: S608 -- only numbered placeholders
        tuple(values),
    )


def outbox_rows(events: tuple[Event, ...]) -> Sql:
    """Return one statement that inserts all of `events` into the outbox."""
    values = [value for event in events for value in (event.topic, event.key, encode(event.body).decode())]
    return Sql(
        f"INSERT INTO outbox(topic, key, body) VALUES {_tuples(len(events), 3)}",  # noqa: S608 -- only numbered placeholders
        tuple(values),
    )


@lru_cache(maxsize=1024)
def _tuples(rows: int, width: int) -> str:
    return ", ".join(
        "(" + ", ".join(f"${row * width + column + 1}" for column in range(width)) + ")"
        for row in range(rows)
    )
