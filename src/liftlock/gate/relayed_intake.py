"""What the control plane passes on of a tracker: rings lead to a look, signed events are verified and kept.

Source: docs/reference/gate-feed.md#doorbells
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import structlog

from liftlock.domain.pushes.tracker_event import MAX_SKEW_S, TrackerEvent, parse_event, verify_push
from liftlock.errors import AuthenticationFailedError, MalformedPayloadError
from liftlock.gate.tracker_intake import TrackerIntake
from liftlock.ports.clock import Clock
from liftlock.ports.feed_inbox import FeedInbox
from liftlock.ports.tracker import TrackerAccessError, TrackerUnavailableError
from liftlock.ports.tracker_relay import Listening, Receipt, RelayUnavailableError, Rung, Signed, TrackerRelay
from liftlock.values import json

_log = structlog.get_logger(__name__)
RECONNECT_S: Final = 2.0
MAX_EVENTS: Final = 1_000


class RelayedIntake:
    """One tracker at one control plane. `keys`: secrets of who may send events, by key id."""

    def __init__(
        self,
        intake: TrackerIntake,
        relay: TrackerRelay,
        inbox: FeedInbox,
        keys: Mapping[str, bytes],
        clock: Clock,
    ) -> None:
        self._intake = intake
        self._relay = relay
        self._inbox = inbox
        self._keys = keys
        self._clock = clock

    async def follow(self) -> None:
        """Listen for ever. What was missed while nobody listened is found by looking after each new beginning."""
        while True:
            try:
                async for message in self._relay.follow():
                    match message:
                        case Listening():
                            _log.info("listening", source=self._intake.source)
                            self._intake.catch_up()
                        case Rung(bug=bug):
                            self._intake.rung(bug)
                        case Signed():
                            receipt = await self.take(message)
                            self._intake.counts[f"messages {receipt.outcome}"] += 1
                            await self._relay.receipt(message.id, receipt)
                _log.info("the stream of the control plane ended", source=self._intake.source)
            except RelayUnavailableError as error:
                _log.warning(
                    "no stream from the control plane", source=self._intake.source, error=error.message
                )
            await asyncio.sleep(RECONNECT_S)

    async def take(self, message: Signed) -> Receipt:
        """Return what became of a signed message: verified first, then kept durably, then said to be taken.

        Raises:
            StorageError: the inbox can't be written: feedd must end.
        """
        try:
            events = self._verified(message)
        except (AuthenticationFailedError, MalformedPayloadError) as error:
            _log.error("events were refused", source=self._intake.source, why=error.message)
            return Receipt(outcome="refused", why=error.message)
        try:
            taken = await self._intake.pushed(events)
        except (TrackerUnavailableError, TrackerAccessError) as error:
            return Receipt(outcome="again", why=error.message, **self._cursor())
        return Receipt(outcome="taken" if taken else "again", **self._cursor())

    def _cursor(self) -> dict[str, Any]:
        place = self._intake.place()
        return {} if place is None else {"epoch": place.epoch, "seq": place.head}

    def _verified(self, message: Signed) -> list[TrackerEvent]:
        secret = self._keys.get(message.key_id)
        if secret is None or not (message.ts.isascii() and message.ts.isdigit()):
            raise AuthenticationFailedError("event: the signature is not valid")
        now_s = int(self._clock.now().timestamp())
        verify_push(
            secret,
            key_id=message.key_id,
            ts=int(message.ts),
            nonce=message.nonce,
            body=message.body.encode(),
            signature=message.signature,
            now_s=now_s,
        )
        if not self._inbox.use_nonce(
            self._intake.source, f"{message.key_id}|{message.nonce}", now_s, 2 * MAX_SKEW_S
        ):
            raise AuthenticationFailedError("event: this message was received before")
        return _events(message.body, self._intake.source)


def _events(body: str, source: str) -> list[TrackerEvent]:
    """Return the events of a body; raises MalformedPayloadError."""
    decoded = json.decode(body.encode(), what="events")
    listed = decoded.get("events") if isinstance(decoded, dict) and decoded.get("v") == 1 else None
    if not isinstance(listed, list) or not 0 < len(listed) <= MAX_EVENTS:
        raise MalformedPayloadError(
            f'events: expected {{"v": 1, "events": […]}} with 1 to {MAX_EVENTS} events'
        )
    events = [parse_event(each) for each in listed]
    if {(event.source, event.epoch) for event in events} != {(source, events[0].epoch)}:
        raise MalformedPayloadError(f"events: expected all of source {source} and of one epoch")
    return sorted(events, key=lambda event: event.seq)
