"""Events to webhooks: queued from the outbox in one transaction with the reader's place, then sent until taken.

Each webhook is served by itself, so that a dead one keeps nobody waiting. Events with the same key arrive in order: the
next is sent when the one before it was taken or given up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog

from liftlock.domain.events.bindings import Wanted
from liftlock.domain.events.delivering import next_attempt, signature, wait_after
from liftlock.domain.events.naming import Message
from liftlock.errors import StorageError
from liftlock.ports.clock import Clock
from liftlock.ports.event_log import CHANNEL, EventCursors, EventLog
from liftlock.ports.leases import Leases
from liftlock.ports.sealing import Sealer
from liftlock.ports.wakeups import Wakeups
from liftlock.ports.webhook_sender import SendingFailedError, WebhookSender
from liftlock.ports.webhook_store import Delivery, NewDelivery, Webhook, WebhookStore
from liftlock.services.webhooks import secret_identity
from liftlock.values.json import encode

READER: Final = "webhooks"
LEASE: Final = timedelta(seconds=30)
PAGE: Final = 500
AT_ONCE: Final = 8
"""Events in flight to one webhook."""
WEBHOOKS: Final = 1000
"""Webhooks that are served."""
LOOK_EVERY_S: Final = 1.0
SHORT_WAIT_S: Final = 0.02
"""Until a gap in the log is looked at again."""
PAUSE_FROM: Final = 3
"""Failures in a row after which a webhook gets nothing until its pause ends, and then one event first."""

_log = structlog.get_logger(__name__)


class DeliverWebhooks:
    """One step of the loop that delivers; of several control planes one at a time does it."""

    def __init__(
        self,
        log: EventLog,
        cursors: EventCursors,
        store: WebhookStore,
        sender: WebhookSender,
        sealer: Sealer,
        leases: Leases,
        wakeups: Wakeups,
        clock: Clock,
        holder: str,
    ) -> None:
        self._log = log
        self._cursors = cursors
        self._store = store
        self._sender = sender
        self._sealer = sealer
        self._leases = leases
        self._wakeups = wakeups
        self._clock = clock
        self._holder = holder
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._paces: dict[str, asyncio.Event] = {}

    async def step(self) -> None:
        """Deliver as long as there are webhooks and this process holds the lease."""
        try:
            with self._wakeups.listen(CHANNEL) as ticket:
                while webhooks := await self._store.listed("", WEBHOOKS):
                    if not await self._holds():
                        return
                    waits = await self.queue_new(webhooks)
                    self._serve(webhooks)
                    await asyncio.sleep(SHORT_WAIT_S)
                    if not waits:
                        await ticket.wait(LOOK_EVERY_S)
        finally:
            await self._stop()

    async def queue_new(self, webhooks: Sequence[Webhook]) -> bool:
        """Queue what is new in the log; return whether something waits for transactions that still run."""
        start = min(one.since for one in webhooks)
        place = max(await self._cursors.place(READER) or 0, start)
        wanted = [(one, Wanted(one.bindings)) for one in webhooks]
        while True:
            page = await self._log.after(place, PAGE)
            deliveries = [
                NewDelivery(one.webhook_id, message.id, message.key, _body(message))
                for message in page.messages
                for one, bindings in wanted
                if message.id > one.since and message in bindings
            ]
            if page.upto > place:
                await self._store.queue(deliveries, READER, page.upto, self._clock.now())
                for one in deliveries:
                    self._pace(one.webhook_id).set()
            place = page.upto
            if not page.more:
                return page.waits

    async def send_ready(self, webhook: Webhook) -> int:
        """Send what the webhook may get now, several keys at once; return how many were taken."""
        state = await self._store.state(webhook.webhook_id)
        limit = 1 if state.failures >= PAUSE_FROM else AT_ONCE
        ready = await self._store.ready(webhook.webhook_id, self._clock.now(), limit)
        secret = self._sealer.unseal(webhook.sealed_secret, identity=secret_identity(webhook.webhook_id))
        taken = await asyncio.gather(*(self._send(webhook, secret, one, state.failures) for one in ready))
        return sum(taken)

    async def _send(self, webhook: Webhook, secret: bytes, delivery: Delivery, failures: int) -> bool:
        now = self._clock.now()
        headers = signature(secret, f"{webhook.webhook_id}:{delivery.event_id}", now, delivery.body)
        try:
            await self._sender.send(webhook.url, headers, delivery.body)
        except SendingFailedError as error:
            await self._failed(webhook, delivery, failures + 1, error.message)
            return False
        await self._store.delivered(webhook.webhook_id, delivery.id)
        return True

    async def _failed(self, webhook: Webhook, delivery: Delivery, in_a_row: int, error: str) -> None:
        now = self._clock.now()
        again = next_attempt(delivery.created, delivery.failures + 1, now)
        paused = now + wait_after(in_a_row) if in_a_row >= PAUSE_FROM else None
        if again is None:
            _log.warning("an event for a webhook was given up", webhook=webhook.webhook_id, key=delivery.key)
        await self._store.failed(webhook.webhook_id, delivery, again, paused, error)

    async def _holds(self) -> bool:
        return await self._leases.hold(READER, self._holder, now=self._clock.now(), duration=LEASE)

    def _serve(self, webhooks: Sequence[Webhook]) -> None:
        """Let every webhook have a task that sends, and end those of webhooks that are gone."""
        known = {f"{one.webhook_id} {one.created}": one for one in webhooks}
        for name in [name for name in self._sending if name not in known]:
            self._sending.pop(name).cancel()
        for name, one in known.items():
            running = self._sending.get(name)
            if running is None or running.done():
                self._sending[name] = asyncio.create_task(self._keep_sending(one))

    async def _keep_sending(self, webhook: Webhook) -> None:
        pace = self._pace(webhook.webhook_id)
        while True:
            pace.clear()
            try:
                if await self.send_ready(webhook):
                    continue
                wait_s = await self._idle_s(webhook.webhook_id)
            except StorageError as error:
                _log.error(
                    "deliveries to a webhook stopped for a while",
                    webhook=webhook.webhook_id,
                    error=error.message,
                )
                wait_s = LOOK_EVERY_S
            try:
                async with asyncio.timeout(wait_s):
                    await pace.wait()
            except TimeoutError:
                continue

    async def _idle_s(self, name: str) -> float:
        next_time: datetime | None = await self._store.next_time(name)
        if next_time is None:
            return 60.0
        return min(max((next_time - self._clock.now()).total_seconds(), SHORT_WAIT_S), 60.0)

    def _pace(self, name: str) -> asyncio.Event:
        return self._paces.setdefault(name, asyncio.Event())

    async def _stop(self) -> None:
        running, self._sending = list(self._sending.values()), {}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _body(message: Message) -> bytes:
    return encode(message.wire())
