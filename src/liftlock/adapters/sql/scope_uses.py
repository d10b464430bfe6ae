"""Uses of granted scopes in SQL."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.script import Each, Script, Sql
from liftlock.domain.scopes.exercise import Grant
from liftlock.values.instants import from_ms, to_ms

_DAY_MS: Final = 86_400_000


class SqlScopeUses:
    """Implements `ports.scope_uses.ScopeUses`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def note(self, grants: Iterable[Grant], at: datetime) -> None:
        now = to_ms(at)
        rows = [(grant.holder, grant.scope, now // _DAY_MS) for grant in sorted(grants)]

        def script() -> Script[None]:
            yield Sql(
                "INSERT INTO scope_use_began(id, at) VALUES (1, $1) ON CONFLICT (id) DO NOTHING", (now,)
            )
            if rows:
                yield Each(
                    "INSERT INTO scope_use(holder, scope, day) VALUES ($1, $2, $3) ON CONFLICT (holder, scope)"
                    " DO UPDATE SET day = excluded.day WHERE scope_use.day < excluded.day",
                    rows,
                )

        await self._engine.write(script, None)

    async def since(self, day: datetime) -> set[tuple[str, str]]:
        def script() -> Script[set[tuple[str, str]]]:
            rows = yield Sql("SELECT holder, scope FROM scope_use WHERE day >= $1", (to_ms(day) // _DAY_MS,))
            return {(row[0], row[1]) for row in rows}

        return await self._engine.read(script)

    async def began(self) -> datetime | None:
        def script() -> Script[datetime | None]:
            rows = yield Sql("SELECT at FROM scope_use_began")
            return from_ms(rows[0][0]) if rows else None

        return await self._engine.read(script)
