"""Where others ask for operations, whatever makes them: dispatched events, comments."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

import msgspec

from liftlock.services.authorize import Caller


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """How far something is; `why` says what led to the state. `succeeded` means something once it has `ended`."""

    operation: str
    state: str
    why: str = ""
    ended: bool = False
    succeeded: bool = False


class Underway(Outlook, frozen=True, kw_only=True):
    """An operation as it is now."""

    operation_id: str
    ref: str
    revision: str
    given: Any
    created: datetime


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for. `key`: the asker's own mark, by which asking again finds the first request."""

    operation: str
    ref: str
    revision: str | None
    given: Any
    key: str
    origin: Mapping[str, Any]


class OperationDesk(Protocol):
    """Asks for operations and looks at them; errors are those of the service behind it."""

    async def request(self, caller: Caller, wanted: Request, now: datetime) -> Underway:
        """Return the operation, started now, or before by the same caller under the same key."""
        ...

    async def look(self, operation_id: str) -> Underway | None:
        """Return the operation, or None."""
        ...

    async def patch(self, operation_id: str) -> str:
        """Return the patch that the operation made instead of a push; empty if it made none."""
        ...

    async def cancel(self, caller: Caller, operation_id: str, now: datetime) -> Underway:
        """Return the operation, cancelled."""
        ...
