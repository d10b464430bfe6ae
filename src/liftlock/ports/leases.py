"""A lease on a background loop, so that of several control planes one at a time runs it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol


class Leases(Protocol):
    """Named leases in the store."""

    async def hold(self, name: str, holder: str, *, now: datetime, duration: timedelta) -> bool:
        """Return True if `holder` now has `name` until `now + duration`: it was free, lapsed, or already held by it."""
        ...
