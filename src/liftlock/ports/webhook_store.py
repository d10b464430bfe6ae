"""Webhooks, and what waits to be delivered to them."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

import msgspec

from liftlock.domain.events.bindings import Binding
from liftlock.ports.envelope import Envelope


class Webhook(msgspec.Struct, frozen=True):
    """Events that match `bindings` are sent to `url`; `sealed_secret` signs them.

    `since` is the place in the log behind which it gets events.
    """

    webhook_id: str
    url: str
    description: str
    bindings: tuple[Binding, ...]
    sealed_secret: str
    creator: str
    created: datetime
    since: int = 0


class WebhookState(msgspec.Struct, frozen=True):
    """How deliveries go. `failures` in a row; `given_up`: events that were not delivered in time or did not fit."""

    waiting: int
    failures: int
    given_up: int
    paused_until: datetime | None
    last_error: str


class Delivery(msgspec.Struct, frozen=True):
    """One event that waits for one webhook. `body` is what is sent; `key` what events are ordered by."""

    id: int
    event_id: int
    key: str
    body: bytes
    created: datetime
    failures: int


class NewDelivery(msgspec.Struct, frozen=True):
    """An event to deliver."""

    webhook_id: str
    event_id: int
    key: str
    body: bytes


class WebhookStore(Protocol):
    """Keeps webhooks and their deliveries."""

    async def webhook(self, webhook_id: str) -> Webhook | None:
        """Return the webhook, or None."""
        ...

    async def listed(self, after: str, limit: int) -> list[Webhook]:
        """Return webhooks behind the id `after`, sorted by id."""
        ...

    async def create(self, webhook: Webhook, envelope: Envelope) -> None:
        """Insert the webhook, with its place in the log; raise ConflictError if the id is taken."""
        ...

    async def remove(self, webhook_id: str, envelope: Envelope) -> bool:
        """Delete the webhook and what waits for it; return whether it existed."""
        ...

    async def state(self, webhook_id: str) -> WebhookState:
        """Return how the webhook's deliveries go."""
        ...

    async def queue(self, deliveries: list[NewDelivery], reader: str, place: int, now: datetime) -> None:
        """Add what is to be delivered and move the reader, in one transaction.

        A webhook for which `MAX_WAITING` wait already gets no more; they count as given up.
        """
        ...

    async def ready(self, webhook_id: str, now: datetime, limit: int) -> list[Delivery]:
        """Return what may be sent now: of each key the first that waits, none while the webhook is paused."""
        ...

    async def next_time(self, webhook_id: str) -> datetime | None:
        """Return the earliest time at which a delivery may be tried, None if nothing waits."""
        ...

    async def delivered(self, webhook_id: str, delivery_id: int) -> None:
        """Forget the delivery: it arrived."""
        ...

    async def failed(
        self,
        webhook_id: str,
        delivery: Delivery,
        again: datetime | None,
        paused_until: datetime | None,
        error: str,
    ) -> None:
        """Note that the delivery failed: tried `again` then, or given up (None)."""
        ...


MAX_WAITING = 50_000
"""Deliveries that may wait for one webhook."""
