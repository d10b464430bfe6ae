"""How much one pusher may learn: different sensitive bugs in 24 hours.

Whoever may push can ask "is bug N sensitive?" by pushing its number; that can't be taken away, only bounded and seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from liftlock.ports.gate_state import Hit

DAY_MS: Final = 86_400_000


class Quota:
    """Who was shown what. A time in the future (the clock was set back) counts like now."""

    def __init__(self, hits: Iterable[Hit]) -> None:
        self._shown: dict[str, dict[int, int]] = {}
        for hit in hits:
            self._shown.setdefault(hit.pusher, {})[hit.bug] = hit.at_ms

    def spend(self, pusher: str, bugs: Iterable[int], now_ms: int, limit: int) -> list[Hit] | None:
        """Return what is new to the pusher, now counted; None if that would be too much, and nothing is counted."""
        shown = {bug: at for bug, at in self._shown.get(pusher, {}).items() if at > now_ms - DAY_MS}
        new = [bug for bug in dict.fromkeys(bugs) if bug not in shown]
        self._shown.pop(pusher, None)
        if shown or new:
            self._shown[pusher] = shown
        if len(shown) + len(new) > limit:
            return None
        shown.update(dict.fromkeys(new, now_ms))
        return [Hit(pusher, bug, now_ms) for bug in new]

    def used(self, pusher: str, now_ms: int) -> int:
        """Return how many bugs count against the pusher now."""
        return sum(at > now_ms - DAY_MS for at in self._shown.get(pusher, {}).values())
