"""Who gets an e-mail about a task because a route of its definition says so: `notify.email.<address>.on-<when>`.

Source: docs/reference/notify.md#routes
"""

from __future__ import annotations

import re
from typing import Final

from liftlock.domain.events.naming import Message

ADDRESS: Final = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,190}"
"""One e-mail address, as a regular expression."""
_ROUTE: Final = re.compile(rf"route\.notify\.email\.({ADDRESS})\.on-([a-z]+)\Z", re.ASCII)
_ENDS: Final = frozenset({"task-completed", "task-failed", "task-exception"})
_CHANGES: Final = frozenset({"task-defined", "task-pending", "task-running", *_ENDS})
_WHEN: Final = {
    "any": _ENDS,
    "resolved": _ENDS,
    "transition": _CHANGES,
    **{topic.removeprefix("task-"): frozenset({topic}) for topic in _CHANGES},
}
"""The end of a route -> the events that it means."""


def recipients(message: Message) -> tuple[str, ...]:
    """Return the addresses that get an e-mail about the event, sorted, each once."""
    found = [_ROUTE.match(copy) for copy in message.copies]
    return tuple(sorted({one[1] for one in found if one and message.topic in _WHEN.get(one[2], ())}))
