"""The store of dispatched events on both databases."""

from __future__ import annotations

from typing import Final

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.envelope_script import audit_rows
from liftlock.adapters.sql.records import record_script
from liftlock.adapters.sql.script import Script, Sql
from liftlock.errors import ConflictError
from liftlock.ports.dispatch_store import DispatchedEvent
from liftlock.ports.envelope import AuditRecord, Envelope
from liftlock.values.instants import from_ms, to_ms

_COLUMNS: Final = "id, at, sender, request_key, event_type, payload_digest, target, result"


class SqlDispatchStore:
    """Implements `ports.dispatch_store.DispatchStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def by_key(self, sender: str, key: str) -> DispatchedEvent | None:
        def script() -> Script[DispatchedEvent | None]:
            rows = yield Sql(
                f"SELECT {_COLUMNS} FROM dispatch_event WHERE sender = $1 AND request_key = $2",  # noqa: S608 -- constants
                (sender, key),
            )
            return None if not rows else _event(rows[0])

        return await self._engine.read(script)

    async def put(self, event: DispatchedEvent, envelope: Envelope) -> None:
        await self._engine.write(lambda: _insert(event), envelope)

    async def refuse(self, envelope: Envelope) -> None:
        def script() -> Script[None]:
            yield Sql("SELECT 1")

        await self._engine.write(script, envelope)


@record_script(DispatchedEvent)
def insert_event(event: DispatchedEvent) -> Script[None]:
    """Insert the event with its audit record."""
    yield from _insert(event)
    details = {
        "event": event.id,
        "target": event.target,
        "result": event.result,
        "payloadDigest": event.payload_digest,
    }
    record = AuditRecord(event.sender, "dispatch.receive", f"event/{event.event_type}", "allowed", details)
    yield audit_rows((record,), to_ms(event.at))


def _insert(event: DispatchedEvent) -> Script[None]:
    fresh = yield Sql(
        f"INSERT INTO dispatch_event({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"  # noqa: S608 -- constants
        " ON CONFLICT DO NOTHING RETURNING 1",
        (
            event.id,
            to_ms(event.at),
            event.sender,
            event.key,
            event.event_type,
            event.payload_digest,
            event.target,
            event.result,
        ),
    )
    if not fresh:
        raise ConflictError(f"id {event.key!r}: this client used it meanwhile; send the event again")


def _event(row: tuple[object, ...]) -> DispatchedEvent:
    [event_id, at, sender, key, event_type, payload_digest, target, result] = row
    return DispatchedEvent(
        id=str(event_id),
        at=from_ms(int(str(at))),
        sender=str(sender),
        key=None if key is None else str(key),
        event_type=str(event_type),
        payload_digest=str(payload_digest),
        target=str(target),
        result=str(result),
    )
