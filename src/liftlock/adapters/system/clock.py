"""The system's clock."""

from __future__ import annotations

from datetime import UTC, datetime


class SystemClock:
    """Implements `ports.clock.Clock`."""

    def now(self) -> datetime:
        """Return the present as aware UTC."""
        return datetime.now(UTC)  # noqa: TID251 -- this is the clock port's adapter
