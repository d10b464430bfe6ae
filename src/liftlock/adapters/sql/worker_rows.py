"""Rows of workers: seen when they claim, quarantined by people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from liftlock.adapters.sql.script import Each, Script, Sql

WORKER_EXPIRY_MS = 24 * 60 * 60 * 1000
"""How long a worker that is not seen any more is remembered, unless it is quarantined for longer."""
MAX_RECENT = 20
"""Recent tasks that are remembered for each worker."""
_recent = msgspec.json.Decoder(tuple[dict[str, Any], ...]).decode


def quarantined_until(queue_id: str, worker_group: str, worker_id: str) -> Script[int | None]:
    """Return when the worker's quarantine ends, perhaps in the past; None if the worker is not known."""
    rows = yield Sql(
        "SELECT quarantine_until FROM worker WHERE queue_id = $1 AND worker_group = $2 AND worker_id = $3",
        (queue_id, worker_group, worker_id),
    )
    return int(rows[0][0]) if rows else None


class Worker(NamedTuple):
    """A worker of a queue, and the runs that it took last, oldest first; `quarantined_until_ms` may be over."""

    key: tuple[str, str, str]
    quarantined_until_ms: int
    recent: tuple[dict[str, Any], ...]


def held_workers(keys: Iterable[tuple[str, str, str]]) -> Script[dict[tuple[str, str, str], Worker]]:
    """Return the workers (queue, group, id) asked for, known or new, locked until the transaction ends."""
    wanted = sorted(set(keys))
    rows = yield Each(
        "SELECT queue_id, worker_group, worker_id, quarantine_until, recent_tasks FROM worker"
        " WHERE queue_id = $1 AND worker_group = $2 AND worker_id = $3 {for_update}",
        wanted,
    )
    known = {row[:3]: Worker(row[:3], row[3], _recent(row[4])) for row in rows}
    return {key: known.get(key) or Worker(key, 0, ()) for key in wanted}


def seen(workers: Iterable[Worker], now_ms: int) -> Script[None]:
    """Note that the workers were here at `now_ms`, with the runs that they took last."""
    yield Each(
        "INSERT INTO worker(queue_id, worker_group, worker_id, first_claim, last_seen, quarantine_until,"
        " quarantine_details, recent_tasks, expires) VALUES ($1, $2, $3, $4, $4, 0, '[]', $5, $6)"
        " ON CONFLICT (queue_id, worker_group, worker_id) DO UPDATE SET last_seen = excluded.last_seen,"
        " recent_tasks = excluded.recent_tasks,"
        " expires = CASE WHEN worker.expires > excluded.expires THEN worker.expires ELSE excluded.expires END",
        [
            (
                *worker.key,
                now_ms,
                msgspec.json.encode(worker.recent[-MAX_RECENT:]).decode(),
                now_ms + WORKER_EXPIRY_MS,
            )
            for worker in workers
        ],
    )
