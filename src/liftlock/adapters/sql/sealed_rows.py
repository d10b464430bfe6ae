"""Which keys the database's secrets were sealed with."""

from __future__ import annotations

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.script import Script, Sql

_SEALED = (
    ("access_client", "sealed_token"),
    ("secret", "sealed"),
    ("hook", "sealed_token"),
    ("audit_key", "sealed_seed"),
    ("webhook", "sealed_secret"),
)
"""Each table and column that holds what `ports.sealing.Sealer.seal` returns."""


async def keys_in_use(engine: Engine) -> frozenset[str]:
    """Return the ids of all keys without which something stored can't be opened; text is `1.<key id>.<sealed>`."""

    def script() -> Script[frozenset[str]]:
        found: set[str] = set()
        for table, column in _SEALED:
            rows = yield Sql(
                f"SELECT DISTINCT substr({column}, 3, 16) FROM {table} WHERE {column} <> ''"  # noqa: S608 -- constants
            )
            found |= {row[0] for row in rows}
        return frozenset(found)

    return await engine.read(script)
