"""Sends a tracker's events, signed, to the control plane that feedd listens to: for adapters of trackers.

Source: docs/reference/gate-feed.md#the-neutral-protocol
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import httpx2
import msgspec

from liftlock.domain.pushes.tracker_event import TrackerEvent, sign_push
from liftlock.errors import AuthenticationFailedError, MalformedPayloadError, ReceiverUnavailableError
from liftlock.ports.clock import Clock
from liftlock.ports.entropy import Entropy
from liftlock.ports.feed_inbox import EventCursor
from liftlock.values import json

TIMEOUT_S: Final = 20.0


class EventSender:
    """One tracker at one control plane, with one key. Each attempt has its own time and nonce."""

    def __init__(
        self,
        root_url: str,
        source: str,
        key_id: str,
        secret: bytes,
        clock: Clock,
        entropy: Entropy,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = f"{root_url.rstrip('/')}/api/gate/v1/tracker/{source}/events"
        self._key_id = key_id
        self._secret = secret
        self._clock = clock
        self._entropy = entropy
        self._http = httpx2.AsyncClient(timeout=TIMEOUT_S, transport=transport, trust_env=False)

    async def send(self, events: Sequence[TrackerEvent]) -> EventCursor:
        """Return up to where the receiver has everything: go on after that, whatever was sent.

        Raises:
            ReceiverUnavailableError: nobody receives now, or the answer is none: send the same again.
            AuthenticationFailedError: the receiver does not take this key, or this clock is wrong.
        """
        body = msgspec.json.encode({"v": 1, "events": list(events)})
        ts, nonce = int(self._clock.now().timestamp()), self._entropy.slugid()
        signature = sign_push(self._secret, key_id=self._key_id, ts=ts, nonce=nonce, body=body)
        headers = {
            "content-type": "application/json",
            "x-liftlock-key-id": self._key_id,
            "x-liftlock-timestamp": str(ts),
            "x-liftlock-nonce": nonce,
            "x-liftlock-signature": signature,
        }
        try:
            answer = await self._http.post(self._url, content=body, headers=headers)
            said = json.decode(answer.content, what="the receiver's answer")
        except (httpx2.HTTPError, MalformedPayloadError) as error:
            raise ReceiverUnavailableError(f"events: no answer: {type(error).__name__}") from error
        if answer.status_code == 401:
            raise AuthenticationFailedError(_text(said))
        if answer.status_code != 200:
            raise ReceiverUnavailableError(_text(said))
        cursor = said.get("cursor") if isinstance(said, dict) else None
        return EventCursor(cursor["epoch"], cursor["seq"]) if cursor else EventCursor("", 0)

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()


def _text(said: Any) -> str:
    text = said.get("message") if isinstance(said, dict) else None
    return str(text).partition("\n")[0][:500]
