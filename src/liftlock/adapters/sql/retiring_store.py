"""Retiring scopes in SQL."""

from __future__ import annotations

from collections.abc import Mapping

from liftlock.adapters.sql.access_rows import scopes_of, scopes_text
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.script import Each, Script, Sql
from liftlock.ports.envelope import Envelope
from liftlock.ports.retiring import RetiringUse
from liftlock.values.instants import from_ms, to_ms


class SqlRetiringStore:
    """Implements `ports.retiring.RetiringStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def put(self, role_id: str, scopes: tuple[str, ...], envelope: Envelope) -> None:
        def script() -> Script[None]:
            if not scopes:
                yield Sql("DELETE FROM retiring WHERE role_id = $1", (role_id,))
                return
            yield Sql(
                "INSERT INTO retiring(role_id, scopes) VALUES ($1, $2)"
                " ON CONFLICT (role_id) DO UPDATE SET scopes = excluded.scopes",
                (role_id, scopes_text(scopes)),
            )

        await self._engine.write(script, envelope)

    async def all(self) -> dict[str, tuple[str, ...]]:
        def script() -> Script[dict[str, tuple[str, ...]]]:
            rows = yield Sql("SELECT role_id, scopes FROM retiring ORDER BY role_id")
            return {row[0]: scopes_of(row[1]) for row in rows}

        return await self._engine.read(script)

    async def count(self, uses: Mapping[tuple[str, str], int], envelope: Envelope) -> None:
        at = to_ms(envelope.now)
        rows = [(client_id, need, times, at) for (client_id, need), times in sorted(uses.items())]

        def script() -> Script[None]:
            yield Each(
                "INSERT INTO retiring_use(client_id, need, uses, last_at) VALUES ($1, $2, $3, $4)"
                " ON CONFLICT (client_id, need) DO UPDATE SET uses = retiring_use.uses + excluded.uses,"
                " last_at = excluded.last_at",
                rows,
            )

        await self._engine.write(script, envelope)

    async def uses(self, limit: int) -> list[RetiringUse]:
        def script() -> Script[list[RetiringUse]]:
            rows = yield Sql(
                "SELECT client_id, need, uses, last_at FROM retiring_use ORDER BY last_at DESC, client_id, need LIMIT $1",
                (limit,),
            )
            return [RetiringUse(row[0], row[1], int(row[2]), from_ms(row[3])) for row in rows]

        return await self._engine.read(script)
