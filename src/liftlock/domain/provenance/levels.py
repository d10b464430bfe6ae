"""The trust level of a task: as its schedulerId says, which the queue lets nobody use without the scope for it.

Source: docs/reference/provenance.md#levels
"""

from __future__ import annotations

import re
from typing import Any, Final

LOWEST: Final = 1
_SCHEDULER = re.compile(r"[A-Za-z0-9_-]+-level-([123])\Z", re.ASCII)


def level_of(task: dict[str, Any]) -> int:
    """Return the level of a task's definition: N of `<trust domain>-level-N`, and the lowest for any other schedulerId."""
    match = _SCHEDULER.match(str(task.get("schedulerId", "-")))
    return LOWEST if match is None else int(match[1])
