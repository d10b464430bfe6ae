"""The store of sealed secrets on both databases."""

from __future__ import annotations

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.script import Script, Sql
from liftlock.ports.envelope import Envelope
from liftlock.ports.secret_store import SealedSecret


class SqlSecretStore:
    """Implements `ports.secret_store.SecretStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def put(self, secret: SealedSecret, envelope: Envelope) -> None:
        def script() -> Script[None]:
            yield Sql(
                "INSERT INTO secret(name, sealed, expires) VALUES ($1, $2, $3)"
                " ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed, expires = excluded.expires",
                (secret.name, secret.sealed, secret.expires_ms),
            )

        await self._engine.write(script, envelope)

    async def get(self, name: str) -> SealedSecret | None:
        def script() -> Script[SealedSecret | None]:
            rows = yield Sql("SELECT name, sealed, expires FROM secret WHERE name = $1", (name,))
            return SealedSecret(*rows[0]) if rows else None

        return await self._engine.read(script)

    async def note_read(self, envelope: Envelope) -> None:
        def script() -> Script[None]:
            yield Sql("SELECT 1")

        await self._engine.write(script, envelope)

    async def remove(self, name: str, envelope: Envelope) -> None:
        def script() -> Script[None]:
            yield Sql("DELETE FROM secret WHERE name = $1", (name,))

        await self._engine.write(script, envelope)

    async def names(self, after: str, limit: int, now_ms: int) -> list[str]:
        def script() -> Script[list[str]]:
            rows = yield Sql(
                "SELECT name FROM secret WHERE name > $1 AND expires > $3 ORDER BY name LIMIT $2",
                (after, limit, now_ms),
            )
            return [row[0] for row in rows]

        return await self._engine.read(script)

    async def expire(self, before_ms: int) -> int:
        def script() -> Script[int]:
            return len((yield Sql("DELETE FROM secret WHERE expires < $1 RETURNING 1", (before_ms,))))

        return await self._engine.write(script, None)
