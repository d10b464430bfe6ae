"""What stops hooks that events fire and whose tasks cause events.

A hook's task carries the names of the hooks whose fires led to it. A hook fires for no event about a task that it led
to itself, and for none at the end of a long chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

MAX_CHAIN: Final = 3
"""Hooks that may fire one another by events, one after the other."""
MAX_FIRES_PER_MINUTE: Final = 60
"""Fires of one hook by events within a minute: what a loop that hides its tracks is held to."""


def refusal(hook: str, chain: Sequence[str], recent: int) -> str | None:
    """Return why `hook` must not fire, or None if it may.

    Args:
        chain: The hooks that led to the event by firing, the first one first.
        recent: How often the hook has been fired by events during the last minute.
    """
    if hook in chain:
        return f"the event is about a task that this hook's own fire led to ({' → '.join((*chain, hook))})"
    if len(chain) >= MAX_CHAIN:
        return f"{len(chain)} hooks have fired one another by events: {' → '.join(chain)}; at most {MAX_CHAIN} may"
    if recent >= MAX_FIRES_PER_MINUTE:
        return f"events have fired it {recent} times within a minute; at most {MAX_FIRES_PER_MINUTE} may"
    return None
