"""Live logs: what a running task has said so far, in rows of bytes, until its log is an artifact."""

from __future__ import annotations

from liftlock.adapters.sql.artifact_rows import KEY, writable
from liftlock.adapters.sql.script import Script, Sql, Wake
from liftlock.adapters.sql.task_rows import COLUMNS, task_of
from liftlock.domain.tasks.artifacts import MAX_LIVE_LOG_BYTES
from liftlock.errors import ConflictError, TooLargeError
from liftlock.ports.artifact_store import LogPart

_READ_ROWS = 16
_Key = tuple[str, int, str]


def append_script(key: _Key, offset: int, data: bytes, now_ms: int) -> Script[int]:
    """Return the log's size after `data` was appended at `offset`."""
    yield from writable(key[0], key[1], now_ms)
    rows = yield Sql(
        f"SELECT start, length(data) FROM live_log WHERE {KEY} ORDER BY start DESC LIMIT 1",  # noqa: S608 -- constants
        key,
    )
    end = rows[0][0] + rows[0][1] if rows else 0
    if offset > end:
        raise ConflictError(
            f"offset: the log has {end} bytes; expected them to be continued, got {offset}", size=end
        )
    fresh = data
    if offset < end:
        stored = yield from _bytes(key, offset, min(end, offset + len(data)))
        if stored != data[: len(stored)]:
            raise ConflictError(f"offset: the log has other bytes from {offset} on, {end} in all", size=end)
        fresh = data[len(stored) :]
    if not fresh:
        return end
    if end + len(fresh) > MAX_LIVE_LOG_BYTES:
        raise TooLargeError(
            f"a live log holds at most {MAX_LIVE_LOG_BYTES} bytes; the whole log is uploaded at the end"
        )
    yield Sql(
        "INSERT INTO live_log(task_id, run_id, name, start, data, at) VALUES ($1, $2, $3, $4, $5, $6)",
        (*key, end, fresh, now_ms),
    )
    yield Wake(f"log:{key[0]}/{key[1]}")
    return end + len(fresh)


def _bytes(key: _Key, start: int, stop: int) -> Script[bytes]:
    """Return the stored bytes of the range."""
    rows = yield Sql(
        f"SELECT start, data FROM live_log WHERE {KEY} AND start < $5 AND start >= "  # noqa: S608 -- constants
        f"(SELECT max(start) FROM live_log WHERE {KEY} AND start <= $4) ORDER BY start",
        (*key, start, stop),
    )
    first = rows[0][0]
    return b"".join(row[1] for row in rows)[start - first : stop - first]


def read_script(key: _Key, offset: int) -> Script[LogPart | None]:
    """Return some bytes from `offset` on, and whether the log has ended there; None if there is no log."""
    rows = yield Sql(
        f"SELECT start, data FROM live_log WHERE {KEY} AND start >= "  # noqa: S608 -- constants
        f"(SELECT max(start) FROM live_log WHERE {KEY} AND start <= $4) ORDER BY start LIMIT $5",
        (*key, offset, _READ_ROWS + 1),
    )
    more = len(rows) > _READ_ROWS
    data = b"".join(row[1] for row in rows[:_READ_ROWS])[offset - rows[0][0] :] if rows else b""
    running = yield from _running(key)
    if not rows and not running:
        return None
    return LogPart(offset, data, ended=not running and not more)


def _running(key: _Key) -> Script[bool]:
    rows = yield Sql(f"SELECT {COLUMNS} FROM task t WHERE t.task_id = $1", (key[0],))  # noqa: S608 -- constants
    runs = task_of(rows[0]).progress.runs if rows else ()
    return key[1] < len(runs) and runs[key[1]].state == "running"
