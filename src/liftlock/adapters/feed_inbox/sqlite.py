"""FeedInbox in SQLite: each change is one transaction, durable when the call returns.

A file that is corrupt is put aside and begun anew: the gate then demands a snapshot, and nothing is lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import apsw
import msgspec

from liftlock.domain.pushes.tracker_event import TrackerEvent
from liftlock.domain.pushes.tracker_page import Place, identity
from liftlock.errors import MalformedPayloadError, StorageError
from liftlock.ports.feed_inbox import Known
from liftlock.values.json import decode_as

VERSION: Final = 2
_SCHEMA: Final = """
CREATE TABLE place (source TEXT PRIMARY KEY, epoch TEXT NOT NULL, generation INTEGER NOT NULL, head INTEGER NOT NULL,
  last TEXT NOT NULL, watermark TEXT NOT NULL) STRICT;
CREATE TABLE event (source TEXT NOT NULL, seq INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (source, seq)) STRICT,
  WITHOUT ROWID;
CREATE TABLE known (source TEXT NOT NULL, bug INTEGER NOT NULL, digest TEXT NOT NULL, matters INTEGER NOT NULL,
  PRIMARY KEY (source, bug)) STRICT, WITHOUT ROWID;
"""
_NONCES: Final = """
CREATE TABLE nonce (source TEXT NOT NULL, nonce TEXT NOT NULL, until_s INTEGER NOT NULL, PRIMARY KEY (source, nonce)) STRICT,
  WITHOUT ROWID;
"""
_STEPS: Final = (_SCHEMA, _NONCES)
"""What makes each version of the one before."""
_encode = msgspec.json.Encoder().encode


class SqliteFeedInbox:
    """Implements `ports.feed_inbox.FeedInbox`. `quarantined`: where a corrupt file was put, or None."""

    def __init__(self, path: Path, now_ms: int) -> None:
        self.quarantined: Path | None = None
        self._opened_ms = now_ms
        try:
            self._connection = _open(path)
        except (apsw.CorruptError, apsw.NotADBError, apsw.FormatError):
            self.quarantined = path.with_name(f"{path.name}.corrupt-{now_ms}")
            for suffix in ("", "-wal", "-shm"):
                piece = path.with_name(path.name + suffix)
                if piece.exists():
                    piece.rename(self.quarantined.with_name(self.quarantined.name + suffix))
            self._connection = _open(path)
        except apsw.Error as error:
            raise StorageError(f"{path}: {error}") from error

    def _rows(self, statement: str, *args: apsw.SQLiteValue) -> list[tuple[apsw.SQLiteValue, ...]]:
        try:
            return self._connection.execute(statement, args).fetchall()
        except apsw.Error as error:
            raise StorageError(f"the inbox: {error}") from error

    def place(self, source: str) -> Place | None:
        rows = self._rows(
            "SELECT epoch, generation, head, COALESCE((SELECT MIN(seq) FROM event WHERE source = ?1), head + 1) AS floor, last, "
            "watermark FROM place WHERE source = ?1",
            source,
        )
        names = ("epoch", "generation", "head", "floor", "last", "watermark")
        return msgspec.convert(dict(zip(names, rows[0], strict=True)), Place) if rows else None

    def rebase(self, source: str, epoch: str, head: int) -> None:
        with self._connection:
            self._rows("DELETE FROM event WHERE source = ?", source)
            self._rows(
                "INSERT INTO place (source, epoch, generation, head, last, watermark) VALUES (?1, ?2, ?4, ?3, '', '') "
                "ON CONFLICT (source) DO UPDATE SET epoch = ?2, generation = generation + 1, head = ?3, last = ''",
                source,
                epoch,
                head,
                self._opened_ms,
            )

    def append(
        self,
        source: str,
        events: Sequence[TrackerEvent],
        known: Mapping[int, Known],
        *,
        watermark: str | None = None,
    ) -> None:
        with self._connection:
            place = self.place(source)
            for at, event in enumerate(events, 1):
                if place is None or event.seq != place.head + at or event.epoch != place.epoch:
                    raise StorageError(f"the inbox: event {event.seq} of {event.epoch} does not follow on")
                self._rows("INSERT INTO event VALUES (?, ?, ?)", source, event.seq, _encode(event))
            if events:
                self._rows(
                    "UPDATE place SET head = ?2, last = ?3 WHERE source = ?1",
                    source,
                    events[-1].seq,
                    identity(events[-1]),
                )
            if watermark is not None:
                self._rows("UPDATE place SET watermark = ?2 WHERE source = ?1", source, watermark)
            self._know(source, known)

    def after(self, source: str, seq: int, limit: int) -> list[TrackerEvent]:
        rows = self._rows(
            "SELECT body FROM event WHERE source = ? AND seq > ? ORDER BY seq LIMIT ?", source, seq, limit
        )
        try:
            return [
                decode_as(body, TrackerEvent, what="event") for (body,) in rows if isinstance(body, bytes)
            ]
        except MalformedPayloadError as error:
            raise StorageError(f"the inbox: {error.message}") from error

    def acknowledge(self, source: str, seq: int) -> None:
        self._rows("DELETE FROM event WHERE source = ? AND seq <= ?", source, seq)

    def known(self, source: str) -> dict[int, Known]:
        rows = self._rows("SELECT bug, digest, matters FROM known WHERE source = ?", source)
        return {
            bug: Known(str(digest), bool(matters)) for bug, digest, matters in rows if isinstance(bug, int)
        }

    def know(self, source: str, known: Mapping[int, Known]) -> None:
        with self._connection:
            self._know(source, known)

    def _know(self, source: str, known: Mapping[int, Known]) -> None:
        for bug, each in known.items():
            self._rows(
                "INSERT OR REPLACE INTO known VALUES (?, ?, ?, ?)",
                source,
                bug,
                each.digest,
                int(each.matters),
            )

    def use_nonce(self, source: str, nonce: str, now_s: int, kept_s: int) -> bool:
        with self._connection:
            self._rows("DELETE FROM nonce WHERE until_s < ?", now_s)
            used = self._rows("SELECT 1 FROM nonce WHERE source = ? AND nonce = ?", source, nonce)
            if not used:
                self._rows("INSERT INTO nonce VALUES (?, ?, ?)", source, nonce, now_s + kept_s)
        return not used

    def close(self) -> None:
        self._connection.close()


def _open(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    try:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "trusted_schema=OFF"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        version = connection.execute("PRAGMA user_version").get
        if isinstance(version, int) and version < VERSION:
            with connection:
                for step in _STEPS[version:]:
                    connection.execute(step)
                connection.execute(f"PRAGMA user_version={VERSION}")
        _check(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: apsw.Connection, path: Path) -> None:
    if connection.execute("PRAGMA user_version").get != VERSION:
        raise StorageError(f"{path}: the inbox is of another version of liftlock")
    if connection.execute("PRAGMA quick_check(1)").get != "ok":
        raise apsw.CorruptError("quick_check found damage")
