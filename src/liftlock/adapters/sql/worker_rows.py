"""Rows of workers: seen when they claim, quarantined by people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from liftlock.adapters.sql.script import Script, Sql

WORKER_EXPIRY_MS = 24 * 60 * 60 * 1000
"""How long a worker that is not seen any more is remembered, unless it is quarantined for longer."""
MAX_RECENT = 20
"""Recent tasks that are remembered for each worker."""


def quarantined_until(queue_id: str, worker_group: str, worker_id: str) -> Script[int | None]:
    """Return when the worker's quarantine ends, perhaps in the past; None if the worker is not known."""
    rows = yield Sql(
        "SELECT quarantine_until FROM worker WHERE queue_id = $1 AND worker_group = $2 AND worker_id = $3",
        (queue_id, worker_group, worker_id),
    )
    return int(rows[0][0]) if rows else None


def seen(
    queue_id: str, worker_group: str, worker_id: str, runs: Sequence[dict[str, Any]], now_ms: int
) -> Script[None]:
    """Note that the worker was here at `now_ms` and took `runs`."""
    key = (queue_id, worker_group, worker_id)
    rows = yield Sql(
        "SELECT recent_tasks FROM worker WHERE queue_id = $1 AND worker_group = $2 AND worker_id = $3 {for_update}",
        key,
    )
    recent = [*(msgspec.json.decode(rows[0][0]) if rows else []), *runs][-MAX_RECENT:]
    yield Sql(
        "INSERT INTO worker(queue_id, worker_group, worker_id, first_claim, last_seen, quarantine_until,"
        " quarantine_details, recent_tasks, expires) VALUES ($1, $2, $3, $4, $4, 0, '[]', $5, $6)"
        " ON CONFLICT (queue_id, worker_group, worker_id) DO UPDATE SET last_seen = excluded.last_seen,"
        " recent_tasks = excluded.recent_tasks,"
        " expires = CASE WHEN worker.expires > excluded.expires THEN worker.expires ELSE excluded.expires END",
        (*key, now_ms, msgspec.json.encode(recent).decode(), now_ms + WORKER_EXPIRY_MS),
    )
