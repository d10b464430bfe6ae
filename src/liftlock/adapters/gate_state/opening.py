"""Opens gated's database: a file that is corrupt is put aside, never repaired and never trusted.

Source: docs/reference/gate.md#state-of-gated
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import apsw

from liftlock.errors import StorageError

VERSION: Final = 2
_SCHEMA: Final = """
CREATE TABLE feed (source TEXT PRIMARY KEY, epoch TEXT, seq INTEGER, contacted_ms INTEGER, frozen TEXT,
  highest_bug INTEGER) STRICT;
CREATE TABLE record (source TEXT NOT NULL, bug INTEGER NOT NULL, seq INTEGER NOT NULL, reason TEXT NOT NULL,
  uplift TEXT NOT NULL, closed INTEGER NOT NULL, PRIMARY KEY (source, bug)) STRICT, WITHOUT ROWID;
CREATE TABLE override (id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, bug INTEGER NOT NULL, repository TEXT,
  until_ms INTEGER NOT NULL, by TEXT NOT NULL, reason TEXT NOT NULL, at_ms INTEGER NOT NULL) STRICT;
CREATE TABLE audit (id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, kind TEXT NOT NULL,
  repository TEXT NOT NULL, actor TEXT NOT NULL, outcome TEXT NOT NULL, details TEXT NOT NULL) STRICT;
CREATE INDEX audit_kind ON audit (kind, id);
CREATE TABLE hit (pusher TEXT NOT NULL, bug INTEGER NOT NULL, at_ms INTEGER NOT NULL, PRIMARY KEY (pusher, bug)) STRICT,
  WITHOUT ROWID;
CREATE TABLE fired (repository TEXT NOT NULL, hook TEXT NOT NULL, at_ms INTEGER NOT NULL, outcome TEXT NOT NULL,
  pushes INTEGER NOT NULL, PRIMARY KEY (repository, hook)) STRICT, WITHOUT ROWID;
CREATE TABLE audited (repository TEXT NOT NULL, ref TEXT NOT NULL, head TEXT NOT NULL, at_ms INTEGER NOT NULL,
  PRIMARY KEY (repository, ref)) STRICT, WITHOUT ROWID;
"""
_PASSED: Final = """
CREATE TABLE passed (repository TEXT NOT NULL, revision TEXT NOT NULL, bug INTEGER NOT NULL, rule TEXT NOT NULL,
  at_ms INTEGER NOT NULL, PRIMARY KEY (repository, revision, bug, rule)) STRICT, WITHOUT ROWID;
CREATE INDEX passed_at ON passed (at_ms);
"""
_FROM_1: Final = f"DROP TABLE passed; {_PASSED}"


def open_or_quarantine(path: Path, now_ms: int) -> tuple[apsw.Connection, Path | None]:
    """Return a connection with the schema, and where a corrupt file was put, or None.

    Raises:
        StorageError: the folder can't be written to, or the file is of a newer version of liftlock.
    """
    try:
        return _open(path), None
    except (apsw.CorruptError, apsw.NotADBError, apsw.FormatError):
        aside = path.with_name(f"{path.name}.corrupt-{now_ms}")
        for suffix in ("", "-wal", "-shm"):
            piece = path.with_name(path.name + suffix)
            if piece.exists():
                piece.rename(aside.with_name(aside.name + suffix))
    except apsw.Error as error:
        raise StorageError(f"{path}: {error}") from error
    try:
        return _open(path), aside
    except apsw.Error as error:
        raise StorageError(f"{path}: {error}") from error


def _open(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    try:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "temp_store=MEMORY", "trusted_schema=OFF"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        change = {0: _SCHEMA + _PASSED, 1: _FROM_1}.get(connection.execute("PRAGMA user_version").get)
        if change is not None:
            with connection:
                connection.execute(change)
                connection.execute(f"PRAGMA user_version={VERSION}")
        _check(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: apsw.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").get
    if version != VERSION:
        raise StorageError(
            f"{path}: schema {version}, expected {VERSION}: it is of another version of liftlock"
        )
    if connection.execute("PRAGMA quick_check(1)").get != "ok":
        raise apsw.CorruptError("quick_check found damage")
