"""The audit log's tree and checkpoints on both databases.

The row of `audit_tree` is locked while places are given, so that of several control planes one at a time does it.
"""

from __future__ import annotations

from typing import Final, TypeVar

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.script import Rows, Script, Sql
from liftlock.domain.audit.entry import Row, leaf_of
from liftlock.domain.audit.tiles import WIDTH, TileId, Walk, consistency, grow, inclusion, parts, root
from liftlock.domain.audit.verification import Sequenced
from liftlock.ports.audit_store import AuditFilter, LogKey, PlacedRow, StoredCheckpoint

T = TypeVar("T")

_COLUMNS: Final = "id, at, actor, action, subject, verdict, details, authority"
_IN_TREE: Final = "CASE WHEN seq < (SELECT size FROM audit_tree WHERE id = 1) THEN seq END"
"""A row's place once its leaf is in the tree."""
_ABOVE: Final = "\U0010ffff"
_HOUR_MS: Final = 3_600_000
_PLACE: Final = (
    "UPDATE audit SET seq = $1 + placed.n FROM (SELECT id, row_number() OVER (ORDER BY id) - 1 AS n FROM"
    " (SELECT id FROM audit WHERE seq IS NULL ORDER BY id LIMIT $2) AS waiting) AS placed"
    " WHERE audit.id = placed.id"
    " RETURNING seq, audit.id, at, actor, action, subject, verdict, details, authority"
)


class SqlAuditStore:
    """Implements `ports.audit_store.AuditStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def sequence(self, limit: int) -> int:
        placed_at_once = self._engine.dialect == "sqlite"

        def script() -> Script[int]:
            size = (yield Sql("SELECT size FROM audit_tree WHERE id = 1 {for_update}"))[0][0]
            rows = (yield from _placed(size, limit)) if placed_at_once else []
            if not rows:
                rows = sorted((yield Sql(_PLACE, (size, limit))))
            changed = yield from _walk(grow(size, [leaf_of(Row(*row[1:])) for row in rows]))
            for tile, hashes in changed.items():
                yield Sql(
                    "INSERT INTO audit_tile(level, number, hashes) VALUES ($1, $2, $3)"
                    " ON CONFLICT (level, number) DO UPDATE SET hashes = excluded.hashes",
                    (*tile, hashes),
                )
            yield Sql("UPDATE audit_tree SET size = $1 WHERE id = 1", (size + len(rows),))
            return len(rows)

        return await self._engine.write(script, None) if await self._engine.read(_any_waits) else 0

    async def size(self) -> int:
        return await self._engine.read(_size)

    async def rows(self, wanted: AuditFilter, *, before: int, limit: int) -> list[PlacedRow]:
        def script() -> Script[list[PlacedRow]]:
            where, args = _where(wanted)
            rows = yield Sql(
                f"SELECT {_IN_TREE}, {_COLUMNS} FROM audit WHERE id < $1{where} ORDER BY id DESC LIMIT $2",  # noqa: S608 -- constants
                (before, limit, *args),
            )
            return [PlacedRow(row[0], Row(*row[1:])) for row in rows]

        return await self._engine.read(script)

    async def entries(self, begin: int, limit: int) -> list[Sequenced]:
        def script() -> Script[list[Sequenced]]:
            end = min(begin + limit, (yield from _size()))
            rows = yield Sql(
                f"SELECT seq, {_COLUMNS} FROM audit WHERE seq >= $1 AND seq < $2",  # noqa: S608 -- constants
                (begin, end),
            )
            found = {row[0]: Row(*row[1:]) for row in rows}
            leaves: dict[int, bytes] = {}
            for number in range(begin // WIDTH, -(-end // WIDTH)):
                tile = yield _tile(TileId(0, number))
                leaves |= enumerate(parts(bytes(tile[0][0]) if tile else b""), number * WIDTH)
            return [Sequenced(seq, leaves.get(seq, b""), found.get(seq)) for seq in range(begin, end)]

        return await self._engine.read(script)

    async def root(self, size: int) -> bytes:
        return await self._engine.read(lambda: _walk(root(size)))

    async def inclusion(self, seq: int, size: int) -> list[bytes]:
        return await self._engine.read(lambda: _walk(inclusion(seq, size)))

    async def consistency(self, old: int, new: int) -> list[bytes]:
        return await self._engine.read(lambda: _walk(consistency(old, new)))

    async def key(self, fresh: LogKey) -> LogKey:
        def script() -> Script[LogKey]:
            yield Sql(
                "INSERT INTO audit_key(id, name, public, sealed_seed) VALUES (1, $1, $2, $3) ON CONFLICT (id) DO NOTHING",
                (fresh.name, fresh.public, fresh.sealed_seed),
            )
            [(name, public, sealed)] = yield Sql(
                "SELECT name, public, sealed_seed FROM audit_key WHERE id = 1"
            )
            return LogKey(name, bytes(public), sealed)

        return await self._engine.write(script, None)

    async def put_checkpoint(self, checkpoint: StoredCheckpoint) -> None:
        def script() -> Script[None]:
            yield Sql(
                "INSERT INTO audit_checkpoint(size, at, note) VALUES ($1, $2, $3) ON CONFLICT (size) DO NOTHING",
                (checkpoint.size, checkpoint.at_ms, checkpoint.note),
            )

        await self._engine.write(script, None)

    async def checkpoint(self, size: int | None) -> StoredCheckpoint | None:
        def script() -> Script[StoredCheckpoint | None]:
            where = ("", ()) if size is None else (" WHERE size = $1", (size,))
            rows = yield Sql(
                f"SELECT size, at, note FROM audit_checkpoint{where[0]} ORDER BY size DESC LIMIT 1",  # noqa: S608 -- constant
                where[1],
            )
            return StoredCheckpoint(*rows[0]) if rows else None

        return await self._engine.read(script)

    async def checkpoints(self, after: int, limit: int) -> list[StoredCheckpoint]:
        def script() -> Script[list[StoredCheckpoint]]:
            rows = yield Sql(
                "SELECT size, at, note FROM audit_checkpoint WHERE size > $1 ORDER BY size LIMIT $2",
                (after, limit),
            )
            return [StoredCheckpoint(*row) for row in rows]

        return await self._engine.read(script)

    async def thin(self, before_ms: int) -> int:
        def script() -> Script[int]:
            rows = yield Sql(
                "DELETE FROM audit_checkpoint WHERE at < $1 AND size NOT IN"
                " (SELECT max(size) FROM audit_checkpoint GROUP BY at / $2) RETURNING 1",
                (before_ms, _HOUR_MS),
            )
            return len(rows)

        return await self._engine.write(script, None)


def _any_waits() -> Script[bool]:
    rows = yield Sql(
        "SELECT 1 WHERE EXISTS (SELECT 1 FROM audit WHERE seq IS NULL)"
        " OR EXISTS (SELECT 1 FROM audit WHERE seq >= (SELECT size FROM audit_tree WHERE id = 1))"
    )
    return bool(rows)


def _placed(size: int, limit: int) -> Script[Rows]:
    """Return up to `limit` rows, place first, that got their places when they were inserted and are not in the tree yet.

    If a place is missing among them, or a row has none (it is from an older version), all of them lose theirs, to be
    placed again in the order of their ids: what is in the tree has no gaps.
    """
    loose = yield Sql("SELECT 1 FROM audit WHERE seq IS NULL LIMIT 1")
    if not loose:
        rows = yield Sql(
            f"SELECT seq, {_COLUMNS} FROM audit WHERE seq >= $1 ORDER BY seq LIMIT $2",  # noqa: S608 -- constants
            (size, limit),
        )
        if [row[0] for row in rows] == list(range(size, size + len(rows))):
            return rows
    yield Sql("UPDATE audit SET seq = NULL WHERE seq >= $1", (size,))
    return []


def _walk(walk: Walk[T]) -> Script[T]:
    """Return what `walk` returns, each tile that it asks for read from the database."""
    try:
        wanted = next(walk)
        while True:
            rows = yield _tile(wanted)
            wanted = walk.send(bytes(rows[0][0]) if rows else b"")
    except StopIteration as end:
        result: T = end.value
        return result


def _tile(tile: TileId) -> Sql:
    return Sql("SELECT hashes FROM audit_tile WHERE level = $1 AND number = $2", (tile.level, tile.number))


def _size() -> Script[int]:
    return int((yield Sql("SELECT size FROM audit_tree WHERE id = 1"))[0][0])


def _where(wanted: AuditFilter) -> tuple[str, tuple[str, ...]]:
    """Return conditions on parameters from $3 on, and the parameters."""
    text, args = "", []
    for column, exact in (("actor", wanted.actor), ("verdict", wanted.verdict)):
        if exact is not None:
            args.append(exact)
            text += f" AND {column} = ${len(args) + 2}"
    for column, prefix in (("action", wanted.action), ("subject", wanted.subject)):
        if prefix is not None:
            args += [prefix, prefix + _ABOVE]
            text += f" AND {column} >= ${len(args) + 1} AND {column} < ${len(args) + 2}"
    return text, tuple(args)
