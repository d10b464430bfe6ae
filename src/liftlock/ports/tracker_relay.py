"""The control plane's stream of what a tracker sends: rings to look at a bug, and signed events.

Source: docs/reference/gate-feed.md#doorbells
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal, Protocol, TypeAlias

import msgspec

from liftlock.errors import StorageError

Outcome = Literal["taken", "again", "refused"]


class RelayUnavailableError(StorageError):
    """The control plane does not answer, or not with a stream; a poll stands behind it."""


class Listening(msgspec.Struct, frozen=True):
    """The stream is open: what is sent from now on arrives, and what was sent before may have been missed."""


class Rung(msgspec.Struct, frozen=True):
    """Somebody said that `bug` changed; 0: that something did. It has no authority."""

    bug: int


class Signed(msgspec.Struct, frozen=True, rename="camel"):
    """A message as it came: who signed it is still to be verified. `id`: for the receipt; `ts`: as it was sent."""

    id: str
    key_id: str
    ts: str
    nonce: str
    signature: str
    body: str


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a message. `epoch` and `seq`: up to where everything is kept, if anything is."""

    outcome: Outcome
    why: str = ""
    epoch: str | None = None
    seq: int = 0


Relayed: TypeAlias = Listening | Rung | Signed


class TrackerRelay(Protocol):
    """One tracker at one control plane."""

    def follow(self) -> AsyncIterator[Relayed]:
        """Yield what comes, until the stream ends; raises RelayUnavailableError."""
        ...

    async def receipt(self, number: str, receipt: Receipt) -> None:
        """Say what became of a signed message; raises RelayUnavailableError."""
        ...
