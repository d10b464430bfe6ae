"""What keeps the database small, and the question whether it can be written."""

from __future__ import annotations

import asyncio
from datetime import datetime

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.envelope_script import NONCE_BUCKET_S
from liftlock.adapters.sql.script import Script, Sql
from liftlock.errors import StorageError
from liftlock.values.instants import to_ms

OUTBOX_KEPT = 100_000
"""Rows of the outbox that are kept for readers who resume; older ones are dropped."""

READY_FOR_S = 3.0
"""So long an answer about readiness holds: anybody may ask, and each new one waits for the disk."""
FREE_PAGES_KEPT = 256
"""Free pages that SQLite's file keeps, to be used again; a page has 4 KiB."""
_SHRINK_PAGES = 256
_SHRINK_STEPS = 64
_INCREMENTAL = 2


class SqlHousekeeping:
    """Drops what has served its time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._trying = asyncio.Lock()
        self._tried: float | None = None
        self._failure: str | None = None

    async def drop_nonces(self, *, before: datetime) -> None:
        """Drop the nonces of whole time buckets that ended before `before`."""

        def script() -> Script[None]:
            yield Sql(
                "DELETE FROM request_nonce WHERE bucket < $1", (to_ms(before) // 1000 // NONCE_BUCKET_S,)
            )

        await self._engine.write(script, None)

    async def drop_outbox(self) -> None:
        """Drop all rows of the outbox but the newest `OUTBOX_KEPT`."""

        def script() -> Script[None]:
            yield Sql("DELETE FROM outbox WHERE id <= (SELECT max(id) FROM outbox) - $1", (OUTBOX_KEPT,))

        await self._engine.write(script, None)

    async def give_back_space(self) -> None:
        """Return pages that are free to the file system, if there are many; PostgreSQL does that by itself.

        In small transactions, so that nobody waits long. A database made before this was possible keeps its size.
        """
        if self._engine.dialect != "sqlite":
            return
        for _ in range(_SHRINK_STEPS):
            if await self._engine.read(_free_pages) <= FREE_PAGES_KEPT:
                return
            await self._engine.write(_shrink, None)

    async def ready(self) -> None:
        """Return if the database takes a durable write; it was tried at most `READY_FOR_S` ago.

        Raises:
            StorageError: it does not.
        """
        async with self._trying:
            now = asyncio.get_running_loop().time()
            if self._tried is None or now - self._tried >= READY_FOR_S:
                self._failure = None
                try:
                    await self._engine.write(_probe, None)
                except StorageError as error:
                    self._failure = error.message
                self._tried = asyncio.get_running_loop().time()
            if self._failure is not None:
                raise StorageError(self._failure)


def _probe() -> Script[None]:
    yield Sql(
        "INSERT INTO lease(name, holder, until) VALUES ('readiness', '', 1)"
        " ON CONFLICT (name) DO UPDATE SET until = lease.until + 1"
    )


def _free_pages() -> Script[int]:
    """Return how many pages could be given back."""
    mode = yield Sql("PRAGMA auto_vacuum")
    if mode[0][0] != _INCREMENTAL:
        return 0
    rows = yield Sql("PRAGMA freelist_count")
    return int(rows[0][0])


def _shrink() -> Script[None]:
    yield Sql(f"PRAGMA incremental_vacuum({_SHRINK_PAGES})")
