"""Passes on what trackers send: rings without authority, and signed events that the receiver alone can judge.

The receiver is feedd, which holds a stream that it opened itself. Nothing is kept here: a ring that nobody hears is lost, for
a poll stands behind it, and a sender of events is told to try again.

Source: docs/reference/gate-feed.md#doorbells
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

from liftlock.domain.pushes.tracker_webhook import ANY
from liftlock.errors import NotFoundError, ReceiverUnavailableError, TooLargeError
from liftlock.ports.entropy import Entropy
from liftlock.services.authorize import Caller
from liftlock.values.json import encode

MAX_PENDING: Final = 1_000
"""Bugs that wait for one receiver; beyond them it is told to look for itself."""
MAX_RECEIVERS: Final = 16
MAX_WAITING: Final = 64
"""Signed messages that wait for a receiver's word at the same time."""
MAX_SIGNED_BYTES: Final = 1_048_576
HEARTBEAT_S: Final = 15.0
STREAM_S: Final = 3600.0
"""A stream ends after so long, so that its credentials are looked at again."""
RECEIPT_S: Final = 10.0


@dataclass(slots=True)
class _Receiver:
    """One open stream: bugs that were rung for (in order), messages to hand over, and words that are awaited."""

    rung: dict[int, None] = field(default_factory=dict)
    awaited: set[asyncio.Future[dict[str, Any]]] = field(default_factory=set)
    handed: list[dict[str, Any]] = field(default_factory=list)
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    def taken(self) -> list[bytes]:
        """Return what there is to send, a comment if there is nothing, and begin anew."""
        self.moved.clear()
        found = [_event("ring", {"bug": bug}) for bug in self.rung]
        found += [_event("signed", message) for message in self.handed]
        self.rung, self.handed = {}, []
        return found or [b": still here\n\n"]


class RelayTracker:
    """All trackers' relays of this process; each control plane has its own."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._receivers: dict[str, list[_Receiver]] = {}
        self._waiting: dict[tuple[str, str], asyncio.Future[dict[str, Any]]] = {}

    def ring(self, source: str, bug: int) -> None:
        """Tell whoever listens that `bug` may have changed. Anybody may say so; the answer is always the same."""
        for receiver in self._receivers.get(source, ()):
            if len(receiver.rung) >= MAX_PENDING:
                receiver.rung = {ANY: None}
            receiver.rung[bug] = None
            receiver.moved.set()

    async def hand_over(self, source: str, signed: dict[str, Any]) -> dict[str, Any]:
        """Return what the receiver says of a signed message, which it has then kept or refused.

        Raises:
            ReceiverUnavailableError: nobody listens, too many wait, who received it went away, or no word came in time:
                send it again.
            TooLargeError: it has more than `MAX_SIGNED_BYTES`.
        """
        if len(signed["body"]) > MAX_SIGNED_BYTES:
            raise TooLargeError(f"events: expected at most {MAX_SIGNED_BYTES} bytes")
        receivers = self._receivers.get(source)
        if not receivers or len(self._waiting) >= MAX_WAITING:
            raise ReceiverUnavailableError(
                "events: nobody receives them at the moment: send them again later"
            )
        number = self._entropy.slugid()
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[source, number] = answer
        receiver = receivers[-1]
        receiver.awaited.add(answer)
        try:
            receiver.handed.append({"id": number, **signed})
            receiver.moved.set()
            async with asyncio.timeout(RECEIPT_S):
                return await answer
        except TimeoutError as error:
            raise ReceiverUnavailableError("events: no word came of them in time: send them again") from error
        finally:
            receiver.awaited.discard(answer)
            del self._waiting[source, number]

    def receipt(self, caller: Caller, source: str, said: dict[str, Any]) -> None:
        """Give the sender of a message the receiver's word.

        Raises:
            RefusedError: the caller may not receive for this tracker.
            NotFoundError: nobody waits for it any more.
        """
        caller.require(f"gate:receive-tracker:{source}")
        answer = self._waiting.get((source, said["id"]))
        if answer is None or answer.done():
            raise NotFoundError(f"receipt {said['id'][:64]}: nobody waits for it")
        answer.set_result({name: said[name] for name in ("outcome", "why", "cursor") if name in said})

    def listen(
        self, caller: Caller, source: str, gone: Callable[[], Coroutine[Any, Any, None]]
    ) -> AsyncIterator[bytes]:
        """Return the stream of a tracker, as server-sent events; it ends when `gone` returns: the receiver went away.

        Raises:
            RefusedError: the caller may not receive for this tracker.
            ReceiverUnavailableError: too many streams of it are open.
        """
        caller.require(f"gate:receive-tracker:{source}")
        if len(self._receivers.get(source, ())) >= MAX_RECEIVERS:
            raise ReceiverUnavailableError(f"{MAX_RECEIVERS} streams of {source} are open already")
        return self._stream(source, gone)

    async def _stream(
        self, source: str, gone: Callable[[], Coroutine[Any, Any, None]]
    ) -> AsyncIterator[bytes]:
        receiver = _Receiver()
        self._receivers.setdefault(source, []).append(receiver)
        left = asyncio.create_task(gone())
        loop = asyncio.get_running_loop()
        ends = loop.time() + STREAM_S
        try:
            yield _event("listening", {})
            while loop.time() < ends:
                moved = asyncio.create_task(receiver.moved.wait())
                await asyncio.wait((moved, left), timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED)
                moved.cancel()
                if left.done():
                    return
                for piece in receiver.taken():
                    yield piece
        finally:
            left.cancel()
            self._forget(source, receiver)

    def _forget(self, source: str, receiver: _Receiver) -> None:
        for answer in receiver.awaited:
            if not answer.done():
                gone = ReceiverUnavailableError("events: who received them went away: send them again")
                answer.set_exception(gone)
        left = [each for each in self._receivers.get(source, ()) if each is not receiver]
        if left:
            self._receivers[source] = left
        else:
            self._receivers.pop(source, None)


def _event(kind: str, data: dict[str, Any]) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + encode(data) + b"\n\n"
