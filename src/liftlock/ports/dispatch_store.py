"""Events that clients dispatched."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

import msgspec

from liftlock.ports.envelope import Envelope


class DispatchedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event that was taken. `id` is liftlock's; `key` the sender's own mark, unique among his events.

    `target` is `hook/<hook>` or `operation/<operation>`, `result` the id of the task or the operation. It may be among an
    envelope's records: then it is stored, with an audit record, in the transaction of what it starts.
    """

    id: str
    at: datetime
    sender: str
    key: str | None
    event_type: str
    payload_digest: str
    target: str
    result: str = ""


class DispatchStore(Protocol):
    """The store of dispatched events."""

    async def by_key(self, sender: str, key: str) -> DispatchedEvent | None:
        """Return the sender's event of that key, or None."""
        ...

    async def put(self, event: DispatchedEvent, envelope: Envelope) -> None:
        """Store the event; raises ConflictError if the sender used the key meanwhile."""
        ...

    async def refuse(self, envelope: Envelope) -> None:
        """Store the trace of an event that was refused."""
        ...
