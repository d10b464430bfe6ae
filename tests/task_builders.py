"""Builders for tests about tasks: everything irrelevant has a default."""

from __future__ import annotations

import uuid
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

from liftlock.values.instants import format_instant

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
QUEUE = "local/unprivileged"


def task_id(number: int) -> str:
    """Return the slugid with this number: the same one each time."""
    raw = bytearray(number.to_bytes(16, "big"))
    raw[6], raw[8] = 0x40 | raw[6] & 0x0F, 0x80 | raw[8] & 0x3F
    return urlsafe_b64encode(uuid.UUID(bytes=bytes(raw)).bytes).rstrip(b"=").decode()


def document(now: datetime = NOW, **changes: Any) -> dict[str, Any]:
    """Return a body of createTask; a change to None leaves the field out."""
    given: dict[str, Any] = {
        "taskQueueId": QUEUE,
        "schedulerId": "demo-level-1",
        "created": format_instant(now),
        "deadline": format_instant(now + timedelta(hours=1)),
        "expires": format_instant(now + timedelta(days=2)),
        "payload": {"command": [["true"]], "maxRunTime": 60},
        "metadata": {
            "name": "n",
            "description": "d",
            "owner": "o@example.com",
            "source": "https://example.com/x",
        },
    }
    given.update(changes)
    return {name: value for name, value in given.items() if value is not None}
