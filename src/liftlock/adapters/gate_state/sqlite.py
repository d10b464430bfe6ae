"""gated's state in SQLite: every change is one transaction, durable when the call returns."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import apsw
import msgspec

from liftlock.adapters.gate_state.heads import AuditedHeads, last_put_aside
from liftlock.adapters.gate_state.opening import open_or_quarantine
from liftlock.domain.pushes.feed import BLOCKING, Cursor, Record
from liftlock.errors import MalformedPayloadError, StorageError
from liftlock.ports.gate_state import Entry, Firing, Hit, Override, Passed, StoredFeed
from liftlock.values import json

P = ParamSpec("P")
T = TypeVar("T")
KEPT_ENTRIES: Final = 1_000_000
KEPT_PASSED: Final = 100_000
PASSED_MS: Final = 30 * 86_400_000
"""An audit excuses no commit that was let in longer ago."""
_UPSERT: Final = (
    "INSERT OR REPLACE INTO record (source, bug, seq, reason, uplift, closed) VALUES (?, ?, ?, ?, ?, ?)"
)
_OVERRIDE: Final = "id, source, bug, repository, until_ms, by, reason, at_ms"


def _guarded(
    method: Callable[Concatenate[SqliteGateState, P], T],
) -> Callable[Concatenate[SqliteGateState, P], T]:
    """Turn SQLite's errors into StorageError, with `corrupt` in its details if the file is damaged."""

    @functools.wraps(method)
    def guarded(self: SqliteGateState, /, *args: P.args, **options: P.kwargs) -> T:
        try:
            return method(self, *args, **options)
        except (apsw.Error, msgspec.MsgspecError, MalformedPayloadError) as error:
            corrupt = isinstance(
                error,
                apsw.CorruptError | apsw.NotADBError | msgspec.MsgspecError | MalformedPayloadError,
            )
            raise StorageError(f"the gate's state: {error}", corrupt=corrupt) from error

    return guarded


class SqliteGateState:
    """Implements `ports.gate_state.GateState`. `quarantined`: where a corrupt file was put when this one was opened."""

    def __init__(self, path: Path, now_ms: int) -> None:
        self._path, self._heads = path, AuditedHeads(path)
        self._connection, self.quarantined = open_or_quarantine(path, now_ms)

    @_guarded
    def feeds(self) -> list[StoredFeed]:
        records: dict[str, dict[int, Record]] = {}
        for source, bug, seq, reason, uplift, closed in self._rows(
            "SELECT source, bug, seq, reason, uplift, closed FROM record"
        ):
            fields = {
                "bug": bug,
                "seq": seq,
                "blocked": reason in BLOCKING,
                "reason": reason,
                "uplift": json.decode(uplift, what="uplift"),
                "closed": bool(closed),
            }
            records.setdefault(source, {})[bug] = msgspec.convert(fields, Record)
        return [
            StoredFeed(
                source=source,
                cursor=Cursor(epoch, seq) if epoch is not None else None,
                contacted_ms=contacted_ms,
                frozen=frozen,
                highest_bug=highest_bug,
                records=records.get(source, {}),
            )
            for source, epoch, seq, contacted_ms, frozen, highest_bug in self._rows("SELECT * FROM feed")
        ]

    @_guarded
    def apply(self, source: str, cursor: Cursor, records: Sequence[Record]) -> None:
        with self._connection:
            for record in records:
                self._put(source, record)
            self._move(source, cursor)

    @_guarded
    def replace(self, source: str, cursor: Cursor, records: Sequence[Record]) -> None:
        with self._connection:
            self._rows("DELETE FROM record WHERE source = ?", source)
            for record in records:
                self._put(source, record)
            self._move(source, cursor)

    def _put(self, source: str, record: Record) -> None:
        if record.says_nothing:
            self._rows("DELETE FROM record WHERE source = ? AND bug = ?", source, record.bug)
            return
        uplift = json.encode(record.uplift).decode()
        self._rows(_UPSERT, source, record.bug, record.seq, record.reason, uplift, int(record.closed))

    def _move(self, source: str, cursor: Cursor) -> None:
        self._rows(
            "INSERT INTO feed (source, epoch, seq) VALUES (?1, ?2, ?3) "
            "ON CONFLICT (source) DO UPDATE SET epoch = ?2, seq = ?3",
            source,
            cursor.epoch,
            cursor.seq,
        )

    @_guarded
    def contacted(self, source: str, at_ms: int | None, frozen: str | None, highest_bug: int | None) -> None:
        self._rows(
            "INSERT INTO feed (source, contacted_ms, frozen, highest_bug) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (source) "
            "DO UPDATE SET contacted_ms = COALESCE(?2, contacted_ms), frozen = ?3, "
            "highest_bug = COALESCE(?4, highest_bug)",
            source,
            at_ms,
            frozen,
            highest_bug,
        )

    @_guarded
    def overrides(self, now_ms: int) -> list[Override]:
        rows = self._rows(f"SELECT {_OVERRIDE} FROM override WHERE until_ms > ? ORDER BY id", now_ms)  # noqa: S608 -- a constant
        return [Override(**dict(zip(_OVERRIDE.split(", "), row, strict=True))) for row in rows]

    @_guarded
    def grant(self, override: Override, entry: Entry) -> Override:
        with self._connection:
            self._append(entry)
            rows = self._rows(
                "INSERT INTO override (source, bug, repository, until_ms, by, reason, at_ms) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
                override.source,
                override.bug,
                override.repository,
                override.until_ms,
                override.by,
                override.reason,
                override.at_ms,
            )
        return msgspec.structs.replace(override, id=rows[0][0])

    @_guarded
    def revoke(self, source: str, bug: int, repository: str | None, now_ms: int, entry: Entry) -> int:
        with self._connection:
            self._append(entry)
            rows = self._rows(
                "UPDATE override SET until_ms = ?1 WHERE source = ?2 AND bug = ?3 AND until_ms > ?1 "
                "AND (?4 IS NULL OR repository = ?4) RETURNING id",
                now_ms,
                source,
                bug,
                repository,
            )
        return len(rows)

    @_guarded
    def record(self, entries: Sequence[Entry], hits: Sequence[Hit], passed: Sequence[Passed]) -> None:
        with self._connection:
            for entry in entries:
                self._append(entry)
            for hit in hits:
                self._rows("INSERT OR REPLACE INTO hit VALUES (?, ?, ?)", hit.pusher, hit.bug, hit.at_ms)
            for each in passed:
                self._pass(each)
            if passed:
                self._rows("DELETE FROM passed WHERE at_ms <= ?", passed[-1].at_ms - PASSED_MS)
                self._rows(
                    "DELETE FROM passed WHERE at_ms < "
                    "(SELECT at_ms FROM passed ORDER BY at_ms DESC LIMIT 1 OFFSET ?)",
                    KEPT_PASSED - 1,
                )

    def _pass(self, passed: Passed) -> None:
        self._rows(
            "INSERT OR REPLACE INTO passed VALUES (?, ?, ?, ?, ?)",
            passed.repository,
            passed.revision,
            passed.bug,
            passed.rule,
            passed.at_ms,
        )

    def _append(self, entry: Entry) -> None:
        rows = self._rows(
            "INSERT INTO audit (at_ms, kind, repository, actor, outcome, details) VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
            entry.at_ms,
            entry.kind,
            entry.repository,
            entry.actor,
            entry.outcome,
            json.encode(entry.details).decode(),
        )
        self._rows("DELETE FROM audit WHERE id <= ?", rows[0][0] - KEPT_ENTRIES)

    @_guarded
    def entries(self, limit: int, kind: str | None) -> list[Entry]:
        rows = self._rows(
            "SELECT at_ms, kind, repository, actor, outcome, details FROM audit WHERE ?1 IS NULL OR kind = ?1 "
            "ORDER BY id DESC LIMIT ?2",
            kind,
            limit,
        )
        names = ("at_ms", "kind", "repository", "actor", "outcome")
        return [
            Entry(**dict(zip(names, row[:5], strict=True)), details=json.decode(row[5], what="details"))
            for row in rows
        ]

    @_guarded
    def hits(self, after_ms: int) -> list[Hit]:
        with self._connection:
            self._rows("DELETE FROM hit WHERE at_ms <= ?", after_ms)
        return [Hit(*row) for row in self._rows("SELECT pusher, bug, at_ms FROM hit")]

    @_guarded
    def passed(self, source: str, repository: str, revisions: Sequence[str]) -> list[Passed]:
        found = []
        for revision in revisions:
            rows = self._rows(
                "SELECT repository, revision, bug, rule, at_ms FROM passed WHERE repository = ?1 AND revision = ?2 "
                "AND EXISTS (SELECT 1 FROM override WHERE source = ?3 AND override.bug = passed.bug AND "
                "(override.repository IS NULL OR override.repository = ?1) AND override.at_ms <= passed.at_ms AND "
                "passed.at_ms < override.until_ms)",
                repository,
                revision,
                source,
            )
            found += [Passed(*row) for row in rows]
        return found

    @_guarded
    def fired(self, firings: Sequence[Firing]) -> None:
        with self._connection:
            for each in firings:
                self._rows(
                    "INSERT OR REPLACE INTO fired VALUES (?, ?, ?, ?, ?)",
                    each.repository,
                    each.hook,
                    each.at_ms,
                    each.outcome,
                    each.pushes,
                )

    @_guarded
    def firings(self) -> list[Firing]:
        rows = self._rows(
            "SELECT repository, hook, at_ms, outcome, pushes FROM fired ORDER BY repository, hook"
        )
        return [
            Firing(repository=row[0], hook=row[1], at_ms=row[2], outcome=row[3], pushes=row[4])
            for row in rows
        ]

    @_guarded
    def audited(self, repository: str) -> dict[str, str]:
        rows = self._rows("SELECT ref, head FROM audited WHERE repository = ?", repository)
        return dict(rows) if rows else self._heads.of(repository)

    @_guarded
    def lost_ms(self) -> int | None:
        return last_put_aside(self._path)

    @_guarded
    def set_audited(
        self, repository: str, heads: Mapping[str, str], at_ms: int, entries: Sequence[Entry]
    ) -> None:
        with self._connection:
            self._rows("DELETE FROM audited WHERE repository = ?", repository)
            for ref, head in heads.items():
                self._rows("INSERT INTO audited VALUES (?, ?, ?, ?)", repository, ref, head, at_ms)
            for entry in entries:
                self._append(entry)
        self._heads.put(repository, heads)

    @_guarded
    def close(self) -> None:
        self._connection.close()

    def _rows(self, text: str, *args: Any) -> list[Any]:
        return self._connection.execute(text, args).fetchall()
