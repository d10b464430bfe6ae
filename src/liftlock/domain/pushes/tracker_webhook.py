"""What a tracker's webhook may say: at most the number of a bug to look at. Nothing else of it is believed.

Source: docs/reference/gate-feed.md#doorbells
"""

from __future__ import annotations

import re
from typing import Any, Final

from liftlock.domain.pushes.feed import MAX_BUG
from liftlock.errors import RequestArgumentsError

ANY: Final = 0
"""Stands for: something changed, look for yourself."""
_SOURCE = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}\Z", re.ASCII)


def rung_bug(payload: Any) -> int:
    """Return the bug that a decoded webhook names at `bug.id` or `bug`, or `ANY` if it names none."""
    found = payload.get("bug") if isinstance(payload, dict) else None
    number = found.get("id") if isinstance(found, dict) else found
    if isinstance(number, int) and not isinstance(number, bool) and 0 < number <= MAX_BUG:
        return number
    return ANY


def source_name(text: str) -> str:
    """Return the name of a tracker; raises RequestArgumentsError if it can be none."""
    if _SOURCE.match(text) is None:
        raise RequestArgumentsError(f"source: expected 1 to 64 of [a-z0-9_-], got {text[:80]!r}")
    return text
