"""On which day each granted scope was used last."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from liftlock.domain.scopes.exercise import Grant


class ScopeUses(Protocol):
    """Keeps one row for each granted scope that was ever used."""

    async def note(self, grants: Iterable[Grant], at: datetime) -> None:
        """Note that these were used on the day of `at`; the first call, even of none, is when the record begins."""
        ...

    async def since(self, day: datetime) -> set[tuple[str, str]]:
        """Return (holder, scope) of each that was used on that day or later."""
        ...

    async def began(self) -> datetime | None:
        """Return when the record began, None if it has not."""
        ...
