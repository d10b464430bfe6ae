"""The stores of purge requests and denied addresses on both databases."""

from __future__ import annotations

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.script import Script, Sql
from liftlock.ports.envelope import Envelope
from liftlock.ports.small_stores import Address, PurgeRequest


class SqlPurgeStore:
    """Implements `ports.small_stores.PurgeStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def request(self, purge: PurgeRequest, envelope: Envelope) -> None:
        def script() -> Script[None]:
            yield Sql(
                "INSERT INTO purge_request(pool_id, cache_name, before) VALUES ($1, $2, $3)"
                " ON CONFLICT (pool_id, cache_name) DO UPDATE SET before = excluded.before"
                " WHERE purge_request.before < excluded.before",
                (purge.pool_id, purge.cache_name, purge.before_ms),
            )

        await self._engine.write(script, envelope)

    async def of_pool(self, pool_id: str, since_ms: int) -> list[PurgeRequest]:
        def script() -> Script[list[PurgeRequest]]:
            rows = yield Sql(
                "SELECT pool_id, cache_name, before FROM purge_request"
                " WHERE pool_id = $1 AND before > $2 ORDER BY cache_name",
                (pool_id, since_ms),
            )
            return [PurgeRequest(*row) for row in rows]

        return await self._engine.read(script)

    async def all(self, after: tuple[str, str], limit: int) -> list[PurgeRequest]:
        def script() -> Script[list[PurgeRequest]]:
            rows = yield Sql(
                "SELECT pool_id, cache_name, before FROM purge_request"
                " WHERE (pool_id, cache_name) > ($1, $2) ORDER BY pool_id, cache_name LIMIT $3",
                (*after, limit),
            )
            return [PurgeRequest(*row) for row in rows]

        return await self._engine.read(script)

    async def expire(self, before_ms: int) -> int:
        def script() -> Script[int]:
            return len((yield Sql("DELETE FROM purge_request WHERE before < $1 RETURNING 1", (before_ms,))))

        return await self._engine.write(script, None)


class SqlDenylist:
    """Implements `ports.small_stores.Denylist`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def add(self, address: Address, envelope: Envelope) -> None:
        def script() -> Script[None]:
            yield Sql(
                "INSERT INTO notify_denied(kind, address) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                (address.kind, address.address),
            )

        await self._engine.write(script, envelope)

    async def remove(self, address: Address, envelope: Envelope) -> None:
        def script() -> Script[None]:
            yield Sql(
                "DELETE FROM notify_denied WHERE kind = $1 AND address = $2", (address.kind, address.address)
            )

        await self._engine.write(script, envelope)

    async def denies(self, address: Address) -> bool:
        def script() -> Script[bool]:
            rows = yield Sql(
                "SELECT 1 FROM notify_denied WHERE kind = $1 AND address = $2",
                (address.kind, address.address),
            )
            return bool(rows)

        return await self._engine.read(script)

    async def listed(self, after: Address, limit: int) -> list[Address]:
        def script() -> Script[list[Address]]:
            rows = yield Sql(
                "SELECT kind, address FROM notify_denied WHERE (kind, address) > ($1, $2)"
                " ORDER BY kind, address LIMIT $3",
                (after.kind, after.address, limit),
            )
            return [Address(*row) for row in rows]

        return await self._engine.read(script)
