"""When a dependency counts as satisfied."""

from __future__ import annotations

from liftlock.domain.tasks.lifecycle import RESOLVED

ALL_RESOLVED = "all-resolved"


def is_satisfied(requires: str, state: str) -> bool:
    """Tell whether a dependency in `state` is satisfied for a dependent that `requires` all-completed or all-resolved.

    Once satisfied it stays so, even if the dependency is rerun.
    """
    return state == "completed" or (requires == ALL_RESOLVED and state in RESOLVED)
