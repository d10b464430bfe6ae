"""Leases as rows: taken by one compare-and-set, renewed when half of their time is over."""

from __future__ import annotations

from datetime import datetime, timedelta

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.script import Script, Sql
from liftlock.values.instants import to_ms


class SqlLeases:
    """Implements `ports.leases.Leases`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def hold(self, name: str, holder: str, *, now: datetime, duration: timedelta) -> bool:
        def look() -> Script[bool]:
            rows = yield Sql(
                "SELECT 1 FROM lease WHERE name = $1 AND holder = $2 AND until > $3",
                (name, holder, to_ms(now + duration / 2)),
            )
            return bool(rows)

        if await self._engine.read(look):
            return True

        def script() -> Script[bool]:
            rows = yield Sql(
                "INSERT INTO lease(name, holder, until) VALUES ($1, $2, $3)"
                " ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until"
                " WHERE lease.holder = excluded.holder OR lease.until <= $4 RETURNING 1",
                (name, holder, to_ms(now + duration), to_ms(now)),
            )
            return bool(rows)

        return await self._engine.write(script, None)
