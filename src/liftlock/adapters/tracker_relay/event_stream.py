"""TrackerRelay over server-sent events: feedd connects out and listens.

Source: docs/reference/gate-feed.md#doorbells; https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from liftlock.adapters.queue_http.signed_http import SignedHttp
from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.pushes.feed import MAX_BUG
from liftlock.errors import LiftlockError
from liftlock.ports.tracker_relay import Listening, Receipt, Relayed, RelayUnavailableError, Rung, Signed
from liftlock.values import json

SILENCE_S: Final = 45.0
"""The control plane says at least every 15 s that it is still there."""
MAX_EVENT: Final = 8_388_608
_KINDS: Final[dict[str, type[Listening] | type[Rung] | type[Signed]]] = {
    "listening": Listening,
    "ring": Rung,
    "signed": Signed,
}


class EventStreamRelay:
    """Implements `ports.tracker_relay.TrackerRelay`."""

    def __init__(self, http: SignedHttp, credentials: Credentials, source: str) -> None:
        self._http = http
        self._credentials = credentials
        self._source = source

    async def follow(self) -> AsyncIterator[Relayed]:
        url = self._http.url("gate", "tracker", self._source, "stream")
        headers = {
            "accept": "text/event-stream",
            "authorization": self._http.sign(self._credentials, "GET", url),
        }
        try:
            async with self._http.stream(
                "GET", url, headers=headers, content=None, timeout_s=SILENCE_S
            ) as answer:
                async for kind, data in _events(answer.aiter_bytes()):
                    if kind in _KINDS:
                        yield _message(kind, data)
        except RelayUnavailableError:
            raise
        except LiftlockError as error:
            raise RelayUnavailableError(error.message.partition("\n")[0]) from error

    async def receipt(self, number: str, receipt: Receipt) -> None:
        url = self._http.url("gate", "tracker", self._source, "receipt")
        said: dict[str, Any] = {"id": number, "outcome": receipt.outcome, "why": receipt.why[:500]}
        if receipt.epoch is not None:
            said["cursor"] = {"epoch": receipt.epoch, "seq": receipt.seq}
        try:
            await self._http.call(self._credentials, "POST", url, said)
        except LiftlockError as error:
            raise RelayUnavailableError(error.message.partition("\n")[0]) from error


def _message(kind: str, data: str) -> Relayed:
    try:
        found = msgspec.convert(json.decode(data.encode(), what="the control plane's event"), _KINDS[kind])
    except (msgspec.ValidationError, LiftlockError) as error:
        raise RelayUnavailableError(f"the control plane's event is not understood: {error}") from error
    if isinstance(found, Rung) and not 0 <= found.bug <= MAX_BUG:
        raise RelayUnavailableError(f"the control plane's event names bug {found.bug}")
    return found


async def _events(chunks: AsyncIterator[bytes]) -> AsyncIterator[tuple[str, str]]:
    """Yield kind and data of each event; comments are passed over."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    held, kind, data = "", "", ""
    async for chunk in chunks:
        held += decoder.decode(chunk)
        if len(held) > MAX_EVENT:
            raise RelayUnavailableError(
                f"the control plane sent an event of more than {MAX_EVENT} characters"
            )
        *lines, held = held.split("\n")
        for line in lines:
            name, _, value = line.removesuffix("\r").partition(":")
            if not name and not value:
                if data:
                    yield kind, data
                kind, data = "", ""
            elif name == "event":
                kind = value.removeprefix(" ")
            elif name == "data":
                data += value.removeprefix(" ")
