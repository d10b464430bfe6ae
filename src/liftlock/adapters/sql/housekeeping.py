"""What keeps the database small, and the question whether it answers."""

from __future__ import annotations

from datetime import datetime

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.envelope_script import NONCE_BUCKET_S
from liftlock.adapters.sql.script import Script, Sql
from liftlock.values.instants import to_ms

OUTBOX_KEPT = 100_000
"""Rows of the outbox that are kept for readers who resume; older ones are dropped."""


class SqlHousekeeping:
    """Drops what has served its time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

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

    async def ready(self) -> None:
        """Return if the database answers.

        Raises:
            StorageError: it does not.
        """

        def script() -> Script[None]:
            yield Sql("SELECT version FROM access_version")

        await self._engine.read(script)
