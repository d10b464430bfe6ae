"""The outbox as a log, and the places of its readers.

Ids of SQLite's rows are in the order of commits. PostgreSQL's are in the order in which statements ran, so that a row
can appear below others that were read already. Where ids have a gap, what is behind it waits until every transaction
that ran when the gap was seen has ended; then the gap is filled or stays for ever.
"""

from __future__ import annotations

from typing import NamedTuple

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.records import record_script
from liftlock.adapters.sql.script import Rows, Script, Sql
from liftlock.domain.events.naming import Message, message_of
from liftlock.errors import StaleSnapshotError
from liftlock.ports.event_log import EventFire, EventPage
from liftlock.values.json import decode, decode_as, encode


class _Mark(NamedTuple):
    """Rows up to `id` are final once no transaction before `ends` runs any more."""

    id: int
    ends: int


class SqlEventLog:
    """Implements `ports.event_log.EventLog`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._settled = 0
        self._mark: _Mark | None = None

    async def newest(self) -> int:
        return await self._edge("max(id)", 0)

    async def oldest(self) -> int:
        return await self._edge("min(id) - 1", 0)

    async def _edge(self, expression: str, default: int) -> int:
        def script() -> Script[int]:
            rows = yield Sql(f"SELECT coalesce({expression}, {default}) FROM outbox")  # noqa: S608 -- constants
            return int(rows[0][0])

        return await self._engine.read(script)

    async def after(self, place: int, limit: int) -> EventPage:
        if self._engine.dialect == "sqlite":
            rows = await self._engine.read(lambda: _rows(place, limit))
            final = rows
        else:
            rows, began, ends = await self._engine.read(lambda: _rows_and_transactions(place, limit))
            final = self._final(rows, place, began, ends)
        messages = [
            message
            for number, topic, key, body in final
            if (message := _message(number, topic, key, body)) is not None
        ]
        upto = final[-1][0] if final else place
        return EventPage(messages, upto, more=len(final) == limit, waits=len(final) < len(rows))

    def _final(self, rows: Rows, place: int, began: int, ends: int) -> Rows:
        """Return the rows before which no other can appear any more."""
        if self._mark is not None and began >= self._mark.ends:
            self._settled = max(self._settled, self._mark.id)
            self._mark = None
        last = place
        for count, row in enumerate(rows):
            if row[0] > self._settled and row[0] != last + 1:
                if self._mark is None:
                    self._mark = _Mark(rows[-1][0], ends)
                return rows[:count]
            last = row[0]
        return rows


def _texts(text: str) -> tuple[str, ...]:
    return decode_as(text, tuple[str, ...], what="chain of hooks")


def _message(number: int, topic: str, key: str, body: str) -> Message | None:
    return message_of(number, topic, key, decode(body.encode(), what="event"))


def _rows(place: int, limit: int) -> Script[Rows]:
    return (
        yield Sql(
            "SELECT id, topic, key, body FROM outbox WHERE id > $1 ORDER BY id LIMIT $2", (place, limit)
        )
    )


def _rows_and_transactions(place: int, limit: int) -> Script[tuple[Rows, int, int]]:
    """Return the rows, before which transaction all have ended, and behind which none had begun."""
    rows = yield from _rows(place, limit)
    seen = yield Sql(
        "SELECT pg_snapshot_xmin(s)::text::bigint, pg_snapshot_xmax(s)::text::bigint FROM pg_current_snapshot() s"
    )
    return rows, seen[0][0], seen[0][1]


class SqlEventCursors:
    """Implements `ports.event_log.EventCursors`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def place(self, reader: str) -> int | None:
        def script() -> Script[int | None]:
            rows = yield Sql("SELECT place FROM event_reader WHERE name = $1", (reader,))
            return int(rows[0][0]) if rows else None

        return await self._engine.read(script)

    async def move(self, reader: str, place: int) -> None:
        await self._engine.write(lambda: move_reader(reader, place), None)

    async def chain_of(self, task_ids: list[str]) -> tuple[str, ...]:
        def script() -> Script[tuple[str, ...]]:
            longest: tuple[str, ...] = ()
            for task_id in dict.fromkeys(task_ids):
                for (chain,) in (yield Sql("SELECT chain FROM event_fire WHERE task_id = $1", (task_id,))):
                    longest = max(longest, _texts(chain), key=len)
            return longest

        return await self._engine.read(script)

    async def fires_since(self, hook: str, since_ms: int) -> int:
        def script() -> Script[int]:
            rows = yield Sql("SELECT count(*) FROM event_fire WHERE hook = $1 AND at > $2", (hook, since_ms))
            return int(rows[0][0])

        return await self._engine.read(script)

    async def forget_fires(self, before_ms: int) -> None:
        def script() -> Script[None]:
            yield Sql("DELETE FROM event_fire WHERE at < $1", (before_ms,))

        await self._engine.write(script, None)


def move_reader(reader: str, place: int) -> Script[None]:
    """Move the reader to `place`; it never goes back."""
    yield Sql(
        "INSERT INTO event_reader(name, place) VALUES ($1, $2)"
        " ON CONFLICT (name) DO UPDATE SET place = excluded.place WHERE event_reader.place < excluded.place",
        (reader, place),
    )


@record_script(EventFire)
def insert_event_fire(fire: EventFire) -> Script[None]:
    """Insert what the event fired, unless it has fired the hook already."""
    rows = yield Sql(
        "INSERT INTO event_fire(hook, event_id, task_id, chain, at) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT DO NOTHING RETURNING 1",
        (fire.hook, fire.event_id, fire.task_id, encode(fire.chain).decode(), fire.at_ms),
    )
    if not rows:
        raise StaleSnapshotError("the event has fired this hook already")
