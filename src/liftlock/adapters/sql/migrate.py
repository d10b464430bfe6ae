"""Numbered forward migrations, checksummed, applied once under a lock.

The files are read when this module is imported, so that a process may drop its right to read them afterwards.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from liftlock.adapters.sql.opening import postgresql_unusable, sqlite_unusable
from liftlock.adapters.sql.script import Dialect
from liftlock.adapters.sql.sqlite_engine import connect, make_shrinkable
from liftlock.errors import StorageError

_NAME = re.compile(r"(\d{4})_[a-z_]+\.(sqlite|postgresql)\.sql\Z")
_LOCK = 0x11F71_0C4
_LEDGER = "CREATE TABLE IF NOT EXISTS schema_migration(number {integer} PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL)"


class Migration(NamedTuple):
    """One numbered file; `sha256` is of its bytes, in hexadecimal."""

    number: int
    name: str
    sha256: str
    sql: str


def _load() -> dict[str, tuple[Migration, ...]]:
    found: dict[str, list[Migration]] = {"sqlite": [], "postgresql": []}
    for item in resources.files("liftlock.adapters.sql.migrations").iterdir():
        match = _NAME.match(item.name)
        if match is not None:
            data = item.read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            found[match[2]].append(Migration(int(match[1]), item.name, digest, data.decode()))
    return {dialect: tuple(sorted(migrations)) for dialect, migrations in found.items()}


_MIGRATIONS = _load()


def migrations(dialect: Dialect) -> tuple[Migration, ...]:
    """Return the migrations for `dialect`, sorted by number, unique."""
    return _MIGRATIONS[dialect]


def _todo(applied: dict[int, str], wanted: tuple[Migration, ...]) -> list[Migration]:
    """Return what is still to apply.

    Raises:
        StorageError: an applied migration's file has changed, or the database is newer than this liftlock.
    """
    known = {migration.number for migration in wanted}
    newer = sorted(set(applied) - known)
    if newer:
        raise StorageError(
            f"the database has migration {newer[0]}, which this liftlock does not know: use a newer one"
        )
    for migration in wanted:
        if applied.get(migration.number, migration.sha256) != migration.sha256:
            raise StorageError(
                f"migration {migration.name} was applied with other contents: never edit an applied one"
            )
    return [migration for migration in wanted if migration.number not in applied]


async def migrate_sqlite(path: Path) -> None:
    """Bring the database file at `path` to the newest schema; creates it (mode 0600) if absent.

    Raises:
        StorageError: it can't be opened or written, is damaged, or has another liftlock's schema.
    """
    try:
        await asyncio.to_thread(_migrate_sqlite, path)
    except apsw.Error as error:
        raise sqlite_unusable(path, error) from error


def _migrate_sqlite(path: Path) -> None:
    try:
        path.touch(mode=0o600)
    except OSError as error:
        raise StorageError(
            f"the database {path}: {error.strerror}; check the directory and its owner"
        ) from error
    if path.stat().st_size == 0:
        make_shrinkable(path)
    connection = connect(path)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(_LEDGER.format(integer="INTEGER"))
        rows: list[tuple[Any, ...]] = connection.execute(
            "SELECT number, sha256 FROM schema_migration"
        ).fetchall()
        applied = {int(row[0]): str(row[1]) for row in rows}
        for migration in _todo(applied, migrations("sqlite")):
            connection.execute(migration.sql).fetchall()
            connection.execute(
                "INSERT INTO schema_migration VALUES (?, ?, ?)",
                (migration.number, migration.name, migration.sha256),
            )
        connection.execute("COMMIT")
    finally:
        connection.close()


async def migrate_postgresql(dsn: str) -> None:
    """Bring the PostgreSQL database to the newest schema; several control planes may call it at once.

    Raises:
        StorageError: it can't be reached, refuses, or has another liftlock's schema.
    """
    import asyncpg  # noqa: PLC0415 -- an extra: embedded installations do not have it

    try:
        await _migrate_postgresql(dsn)
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise postgresql_unusable(dsn, error) from error


async def _migrate_postgresql(dsn: str) -> None:
    import asyncpg  # noqa: PLC0415 -- as above

    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            await connection.execute(_LEDGER.format(integer="BIGINT"))
            rows = await connection.fetch("SELECT number, sha256 FROM schema_migration")
            for migration in _todo({row[0]: row[1] for row in rows}, migrations("postgresql")):
                await connection.execute(migration.sql)
                await connection.execute(
                    "INSERT INTO schema_migration VALUES ($1, $2, $3)",
                    migration.number,
                    migration.name,
                    migration.sha256,
                )
    finally:
        await connection.close()
