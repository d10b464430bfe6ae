"""Webhooks and their deliveries on both databases."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.event_log import move_reader
from liftlock.adapters.sql.script import Script, Sql
from liftlock.domain.events.bindings import Binding
from liftlock.errors import ConflictError
from liftlock.ports.envelope import Envelope
from liftlock.ports.webhook_store import MAX_WAITING, Delivery, NewDelivery, Webhook, WebhookState
from liftlock.values.instants import from_ms, to_ms
from liftlock.values.json import decode_as, encode

_COLUMNS = "webhook_id, url, description, bindings, sealed_secret, creator, created, since"
_SELECT = f"SELECT {_COLUMNS} FROM webhook"  # noqa: S608 -- constant columns
_ERROR_SHOWN = 500


def _webhook_of(row: tuple[Any, ...]) -> Webhook:
    webhook_id, url, description, bindings, sealed, creator, created, since = row
    return Webhook(
        webhook_id,
        url,
        description,
        decode_as(bindings, tuple[Binding, ...], what="bindings"),
        sealed,
        creator,
        from_ms(created),
        since,
    )


class SqlWebhookStore:
    """Implements `ports.webhook_store.WebhookStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def webhook(self, webhook_id: str) -> Webhook | None:
        def script() -> Script[Webhook | None]:
            rows = yield Sql(f"{_SELECT} WHERE webhook_id = $1", (webhook_id,))
            return _webhook_of(rows[0]) if rows else None

        return await self._engine.read(script)

    async def listed(self, after: str, limit: int) -> list[Webhook]:
        def script() -> Script[list[Webhook]]:
            rows = yield Sql(f"{_SELECT} WHERE webhook_id > $1 ORDER BY webhook_id LIMIT $2", (after, limit))
            return [_webhook_of(row) for row in rows]

        return await self._engine.read(script)

    async def create(self, webhook: Webhook, envelope: Envelope) -> None:
        def script() -> Script[None]:
            rows = yield Sql(
                f"INSERT INTO webhook({_COLUMNS}, waiting, failures, given_up, paused_until, last_error)"  # noqa: S608 -- constant columns
                " SELECT $1, $2, $3, $4, $5, $6, $7, coalesce(max(id), 0), 0, 0, 0, 0, '' FROM outbox WHERE true"
                " ON CONFLICT (webhook_id) DO NOTHING RETURNING 1",
                (
                    webhook.webhook_id,
                    webhook.url,
                    webhook.description,
                    encode(webhook.bindings).decode(),
                    webhook.sealed_secret,
                    webhook.creator,
                    to_ms(webhook.created),
                ),
            )
            if not rows:
                raise ConflictError(f"webhook {webhook.webhook_id} exists already; remove it first")

        await self._engine.write(script, envelope)

    async def remove(self, webhook_id: str, envelope: Envelope) -> bool:
        def script() -> Script[bool]:
            yield Sql("DELETE FROM webhook_delivery WHERE webhook_id = $1", (webhook_id,))
            return bool((yield Sql("DELETE FROM webhook WHERE webhook_id = $1 RETURNING 1", (webhook_id,))))

        return await self._engine.write(script, envelope)

    async def state(self, webhook_id: str) -> WebhookState:
        def script() -> Script[WebhookState]:
            rows = yield Sql(
                "SELECT waiting, failures, given_up, paused_until, last_error FROM webhook WHERE webhook_id = $1",
                (webhook_id,),
            )
            if not rows:
                return WebhookState(0, 0, 0, None, "")
            waiting, failures, given_up, paused, error = rows[0]
            return WebhookState(waiting, failures, given_up, from_ms(paused) if paused else None, error)

        return await self._engine.read(script)

    async def queue(self, deliveries: list[NewDelivery], reader: str, place: int, now: datetime) -> None:
        at = to_ms(now)

        def script() -> Script[None]:
            for one in deliveries:
                rows = yield Sql(
                    "SELECT waiting FROM webhook WHERE webhook_id = $1 AND since < $2 {for_update}",
                    (one.webhook_id, one.event_id),
                )
                if not rows:
                    continue
                if rows[0][0] >= MAX_WAITING:
                    yield Sql(
                        "UPDATE webhook SET given_up = given_up + 1 WHERE webhook_id = $1", (one.webhook_id,)
                    )
                    continue
                yield Sql("UPDATE webhook SET waiting = waiting + 1 WHERE webhook_id = $1", (one.webhook_id,))
                yield Sql(
                    "INSERT INTO webhook_delivery(webhook_id, event_id, key, body, created, next_at, failures)"
                    " VALUES ($1, $2, $3, $4, $5, $5, 0)",
                    (one.webhook_id, one.event_id, one.key, one.body.decode(), at),
                )
            yield from move_reader(reader, place)

        await self._engine.write(script, None)

    async def ready(self, webhook_id: str, now: datetime, limit: int) -> list[Delivery]:
        def script() -> Script[list[Delivery]]:
            rows = yield Sql(
                "SELECT d.id, d.event_id, d.key, d.body, d.created, d.failures FROM webhook_delivery d"
                " JOIN webhook w ON w.webhook_id = d.webhook_id"
                " WHERE d.webhook_id = $1 AND d.next_at <= $2 AND w.paused_until <= $2 AND NOT EXISTS"
                " (SELECT 1 FROM webhook_delivery e"
                " WHERE e.webhook_id = d.webhook_id AND e.key = d.key AND e.id < d.id)"
                " ORDER BY d.next_at, d.id LIMIT $3",
                (webhook_id, to_ms(now), limit),
            )
            return [
                Delivery(number, event, key, body.encode(), from_ms(created), failures)
                for number, event, key, body, created, failures in rows
            ]

        return await self._engine.read(script)

    async def next_time(self, webhook_id: str) -> datetime | None:
        def script() -> Script[datetime | None]:
            rows = yield Sql(
                "SELECT d.next_at, w.paused_until FROM webhook_delivery d JOIN webhook w USING (webhook_id)"
                " WHERE d.webhook_id = $1 ORDER BY d.next_at LIMIT 1",
                (webhook_id,),
            )
            return from_ms(max(rows[0])) if rows else None

        return await self._engine.read(script)

    async def delivered(self, webhook_id: str, delivery_id: int) -> None:
        def script() -> Script[None]:
            rows = yield Sql("DELETE FROM webhook_delivery WHERE id = $1 RETURNING 1", (delivery_id,))
            yield Sql(
                "UPDATE webhook SET waiting = waiting - $2, failures = 0, paused_until = 0 WHERE webhook_id = $1",
                (webhook_id, len(rows)),
            )

        await self._engine.write(script, None)

    async def failed(
        self,
        webhook_id: str,
        delivery: Delivery,
        again: datetime | None,
        paused_until: datetime | None,
        error: str,
    ) -> None:
        def script() -> Script[None]:
            gone = 0
            if again is None:
                gone = len(
                    (yield Sql("DELETE FROM webhook_delivery WHERE id = $1 RETURNING 1", (delivery.id,)))
                )
            else:
                yield Sql(
                    "UPDATE webhook_delivery SET next_at = $2, failures = failures + 1 WHERE id = $1",
                    (delivery.id, to_ms(again)),
                )
            yield Sql(
                "UPDATE webhook SET waiting = waiting - $2, given_up = given_up + $2, failures = failures + 1,"
                " paused_until = $3, last_error = $4 WHERE webhook_id = $1",
                (webhook_id, gone, to_ms(paused_until) if paused_until else 0, error[:_ERROR_SHOWN]),
            )

        await self._engine.write(script, None)
