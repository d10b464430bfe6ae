"""The store of workers and worker pools on both databases."""

from __future__ import annotations

from typing import Any

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.script import Script, Sql
from liftlock.adapters.sql.task_rows import text
from liftlock.adapters.sql.worker_rows import WORKER_EXPIRY_MS
from liftlock.errors import ConflictError, StorageError
from liftlock.ports.envelope import Envelope
from liftlock.ports.worker_store import PoolError, PoolWorker, SeenWorker
from liftlock.values.instants import to_ms
from liftlock.values.json import decode

_SEEN = (
    "queue_id, worker_group, worker_id, first_claim, last_seen, quarantine_until, quarantine_details,"
    " recent_tasks, expires"
)
_POOL_WORKER = "pool_id, worker_group, worker_id, document, secret, expires"
_KEY = "queue_id = $1 AND worker_group = $2 AND worker_id = $3"
_POOL_KEY = "pool_id = $1 AND worker_group = $2 AND worker_id = $3"


class SqlWorkerStore:
    """Implements `ports.worker_store.WorkerStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def seen(self, queue_id: str, worker_group: str, worker_id: str) -> SeenWorker | None:
        return await self._engine.read(lambda: _seen((queue_id, worker_group, worker_id)))

    async def listed(self, queue_id: str, after: tuple[str, str], limit: int) -> list[SeenWorker]:
        def script() -> Script[list[SeenWorker]]:
            rows = yield Sql(
                f"SELECT {_SEEN} FROM worker WHERE queue_id = $1 AND (worker_group, worker_id) > ($2, $3)"  # noqa: S608 -- constants
                " ORDER BY worker_group, worker_id LIMIT $4",
                (queue_id, *after, limit),
            )
            return [_seen_of(row) for row in rows]

        return await self._engine.read(script)

    async def quarantine(
        self,
        queue_id: str,
        worker_group: str,
        worker_id: str,
        until_ms: int,
        detail: dict[str, Any],
        envelope: Envelope,
    ) -> SeenWorker:
        key = (queue_id, worker_group, worker_id)

        def script() -> Script[SeenWorker]:
            worker = yield from _known(key, to_ms(envelope.now))
            yield Sql(
                f"UPDATE worker SET quarantine_until = $4, quarantine_details = $5, expires = $6 WHERE {_KEY}",  # noqa: S608 -- constants
                (
                    *key,
                    until_ms,
                    text([*worker.quarantine_details, detail]),
                    max(worker.expires_ms, until_ms),
                ),
            )
            return (yield from _expect(key))

        return await self._engine.write(script, envelope)

    async def declare(
        self, queue_id: str, worker_group: str, worker_id: str, expires_ms: int | None, envelope: Envelope
    ) -> SeenWorker:
        key = (queue_id, worker_group, worker_id)

        def script() -> Script[SeenWorker]:
            yield from _known(key, to_ms(envelope.now))
            if expires_ms is not None:
                yield Sql(f"UPDATE worker SET expires = $4 WHERE {_KEY}", (*key, expires_ms))  # noqa: S608 -- constants
            return (yield from _expect(key))

        return await self._engine.write(script, envelope)

    async def pool(self, pool_id: str) -> dict[str, Any] | None:
        def script() -> Script[dict[str, Any] | None]:
            rows = yield Sql("SELECT document FROM worker_pool WHERE pool_id = $1", (pool_id,))
            return decode(rows[0][0].encode()) if rows else None

        return await self._engine.read(script)

    async def pools(self, after: str, limit: int) -> list[dict[str, Any]]:
        def script() -> Script[list[dict[str, Any]]]:
            rows = yield Sql(
                "SELECT document FROM worker_pool WHERE pool_id > $1 ORDER BY pool_id LIMIT $2",
                (after, limit),
            )
            return [decode(row[0].encode()) for row in rows]

        return await self._engine.read(script)

    async def put_pool(
        self, pool_id: str, document: dict[str, Any], envelope: Envelope, *, create: bool
    ) -> None:
        def script() -> Script[None]:
            if create:
                rows = yield Sql("SELECT 1 FROM worker_pool WHERE pool_id = $1 {for_update}", (pool_id,))
                if rows:
                    raise ConflictError(f"worker pool {pool_id} exists")
            yield Sql(
                "INSERT INTO worker_pool(pool_id, document) VALUES ($1, $2)"
                " ON CONFLICT (pool_id) DO UPDATE SET document = excluded.document",
                (pool_id, text(document)),
            )

        await self._engine.write(script, envelope)

    async def delete_pool(self, pool_id: str, envelope: Envelope) -> None:
        def script() -> Script[None]:
            for table in ("worker_pool", "pool_worker", "pool_error"):
                yield Sql(f"DELETE FROM {table} WHERE pool_id = $1", (pool_id,))  # noqa: S608 -- constants

        await self._engine.write(script, envelope)

    async def pool_worker(self, pool_id: str, worker_group: str, worker_id: str) -> PoolWorker | None:
        def script() -> Script[PoolWorker | None]:
            rows = yield Sql(
                f"SELECT {_POOL_WORKER} FROM pool_worker WHERE {_POOL_KEY}",  # noqa: S608 -- constants
                (pool_id, worker_group, worker_id),
            )
            return _pool_worker_of(rows[0]) if rows else None

        return await self._engine.read(script)

    async def put_pool_worker(self, worker: PoolWorker, envelope: Envelope, *, create: bool) -> None:
        key = (worker.pool_id, worker.worker_group, worker.worker_id)

        def script() -> Script[None]:
            action = "NOTHING"
            if not create:
                action = "UPDATE SET document = excluded.document, secret = excluded.secret, expires = excluded.expires"
            rows = yield Sql(
                "INSERT INTO pool_worker(pool_id, worker_group, worker_id, document, secret, expires)"  # noqa: S608 -- constants
                " VALUES ($1, $2, $3, $4, $5, $6)"
                f" ON CONFLICT (pool_id, worker_group, worker_id) DO {action} RETURNING 1",
                (*key, text(worker.document), worker.secret, worker.expires_ms),
            )
            if not rows:
                raise ConflictError(
                    f"worker {worker.worker_group}/{worker.worker_id} exists in {worker.pool_id}"
                )

        await self._engine.write(script, envelope)

    async def delete_pool_worker(
        self, pool_id: str, worker_group: str, worker_id: str, envelope: Envelope
    ) -> None:
        def script() -> Script[None]:
            yield Sql(f"DELETE FROM pool_worker WHERE {_POOL_KEY}", (pool_id, worker_group, worker_id))  # noqa: S608 -- constants

        await self._engine.write(script, envelope)

    async def pool_workers(
        self, pool_id: str, worker_group: str | None, after: tuple[str, str], limit: int
    ) -> list[PoolWorker]:
        def script() -> Script[list[PoolWorker]]:
            rows = yield Sql(
                f"SELECT {_POOL_WORKER} FROM pool_worker WHERE pool_id = $1"  # noqa: S608 -- constants
                " AND (worker_group = $2 OR $2 = '') AND (worker_group, worker_id) > ($3, $4)"
                " ORDER BY worker_group, worker_id LIMIT $5",
                (pool_id, worker_group or "", *after, limit),
            )
            return [_pool_worker_of(row) for row in rows]

        return await self._engine.read(script)

    async def add_error(self, error: PoolError, envelope: Envelope) -> None:
        def script() -> Script[None]:
            yield Sql(
                "INSERT INTO pool_error(error_id, pool_id, reported, document) VALUES ($1, $2, $3, $4)",
                (error.error_id, error.pool_id, error.reported_ms, text(error.document)),
            )

        await self._engine.write(script, envelope)

    async def errors(self, pool_id: str, before_ms: int, limit: int) -> list[PoolError]:
        def script() -> Script[list[PoolError]]:
            rows = yield Sql(
                "SELECT error_id, pool_id, reported, document FROM pool_error"
                " WHERE pool_id = $1 AND reported < $2 ORDER BY reported DESC, error_id LIMIT $3",
                (pool_id, before_ms, limit),
            )
            return [PoolError(row[0], row[1], row[2], decode(row[3].encode())) for row in rows]

        return await self._engine.read(script)

    async def expire(self, now_ms: int) -> int:
        def script() -> Script[int]:
            count = 0
            for table in ("worker", "pool_worker"):
                rows = yield Sql(f"DELETE FROM {table} WHERE expires < $1 RETURNING 1", (now_ms,))  # noqa: S608 -- constants
                count += len(rows)
            return count

        return await self._engine.write(script, None)


def _seen(key: tuple[str, str, str]) -> Script[SeenWorker | None]:
    rows = yield Sql(f"SELECT {_SEEN} FROM worker WHERE {_KEY}", key)  # noqa: S608 -- constants
    return _seen_of(rows[0]) if rows else None


def _expect(key: tuple[str, str, str]) -> Script[SeenWorker]:
    found = yield from _seen(key)
    if found is None:
        raise StorageError("the store lost a worker that was just written")
    return found


def _known(key: tuple[str, str, str], now_ms: int) -> Script[SeenWorker]:
    """Return the worker, remembered from now on if it was not known; its row is locked."""
    yield Sql(
        "INSERT INTO worker(queue_id, worker_group, worker_id, first_claim, last_seen, quarantine_until,"
        " quarantine_details, recent_tasks, expires) VALUES ($1, $2, $3, $4, $4, 0, '[]', '[]', $5)"
        " ON CONFLICT DO NOTHING",
        (*key, now_ms, now_ms + WORKER_EXPIRY_MS),
    )
    yield Sql(f"SELECT 1 FROM worker WHERE {_KEY} {{for_update}}", key)  # noqa: S608 -- constants
    return (yield from _expect(key))


def _seen_of(row: tuple[Any, ...]) -> SeenWorker:
    queue_id, group, worker, first, last, until, details, recent, expires = row
    return SeenWorker(
        queue_id,
        group,
        worker,
        first,
        last,
        until,
        decode(details.encode()),
        decode(recent.encode()),
        expires,
    )


def _pool_worker_of(row: tuple[Any, ...]) -> PoolWorker:
    return PoolWorker(row[0], row[1], row[2], decode(row[3].encode()), row[4], row[5])
