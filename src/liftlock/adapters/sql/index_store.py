"""The store of the index on both databases."""

from __future__ import annotations

from typing import Any

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.index_rows import insert_entry
from liftlock.adapters.sql.script import Script, Sql
from liftlock.domain.tasks.index_routes import IndexEntry, split_namespace
from liftlock.errors import StorageError
from liftlock.ports.envelope import Envelope
from liftlock.ports.index_store import IndexedTask, Namespace
from liftlock.values.json import decode

_COLUMNS = "parent, name, task_id, rank, data, expires"


class SqlIndexStore:
    """Implements `ports.index_store.IndexStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def insert(self, entry: IndexEntry, task_id: str, envelope: Envelope) -> IndexedTask:
        def script() -> Script[IndexedTask]:
            yield from insert_entry(entry, task_id)
            found = yield from _find(entry.namespace, -1)
            if found is None:
                raise StorageError("the index lost what was just inserted")
            return found

        return await self._engine.write(script, envelope)

    async def find(self, namespace: str, now_ms: int) -> IndexedTask | None:
        return await self._engine.read(lambda: _find(namespace, now_ms))

    async def namespaces(self, parent: str, after: str, limit: int, now_ms: int) -> list[Namespace]:
        def script() -> Script[list[Namespace]]:
            rows = yield Sql(
                "SELECT parent, name, expires FROM index_namespace"
                " WHERE parent = $1 AND name > $2 AND expires > $4 ORDER BY name LIMIT $3",
                (parent, after, limit, now_ms),
            )
            return [Namespace(_joined(row[0], row[1]), row[1], row[2]) for row in rows]

        return await self._engine.read(script)

    async def tasks(self, parent: str, after: str, limit: int, now_ms: int) -> list[IndexedTask]:
        def script() -> Script[list[IndexedTask]]:
            rows = yield Sql(
                f"SELECT {_COLUMNS} FROM indexed_task"  # noqa: S608 -- constant
                " WHERE parent = $1 AND name > $2 AND expires > $4 ORDER BY name LIMIT $3",
                (parent, after, limit, now_ms),
            )
            return [_task(row) for row in rows]

        return await self._engine.read(script)

    async def delete(self, namespace: str, envelope: Envelope) -> None:
        def script() -> Script[None]:
            yield Sql("DELETE FROM indexed_task WHERE parent = $1 AND name = $2", split_namespace(namespace))

        await self._engine.write(script, envelope)

    async def expire(self, now_ms: int, limit: int) -> int:
        def script() -> Script[int]:
            count = 0
            for table in ("indexed_task", "index_namespace"):
                rows = yield Sql(
                    f"DELETE FROM {table} WHERE (parent, name) IN"  # noqa: S608 -- constants
                    f" (SELECT parent, name FROM {table} WHERE expires <= $1 ORDER BY expires LIMIT $2) RETURNING 1",
                    (now_ms, limit),
                )
                count += len(rows)
            return count

        return await self._engine.write(script, None)


def _find(namespace: str, now_ms: int) -> Script[IndexedTask | None]:
    rows = yield Sql(
        f"SELECT {_COLUMNS} FROM indexed_task WHERE parent = $1 AND name = $2 AND expires > $3",  # noqa: S608 -- constant
        (*split_namespace(namespace), now_ms),
    )
    return _task(rows[0]) if rows else None


def _task(row: tuple[Any, ...]) -> IndexedTask:
    return IndexedTask(_joined(row[0], row[1]), row[2], float(row[3]), decode(row[4].encode()), row[5])


def _joined(parent: str, name: str) -> str:
    return f"{parent}.{name}" if parent else name
