"""Builders for tests about hooks: everything irrelevant has a default."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
GROUP, HOOK = "project-demo", "nightly/build"
ROLE = f"hook-id:{GROUP}/{HOOK}"
NAME = f"{GROUP}/{HOOK}"
ROLE_SCOPES = (
    "queue:create-task:lowest:local/unprivileged",
    "queue:create-task:project:none",
    "queue:scheduler-id:demo-level-1",
    "secrets:get:demo",
)

TASK: dict[str, Any] = {
    "taskQueueId": "local/unprivileged",
    "schedulerId": "demo-level-1",
    "scopes": ["secrets:get:demo"],
    "payload": {"command": [["true"]], "maxRunTime": 60},
    "metadata": {
        "name": "built by ${firedBy}",
        "description": "d",
        "owner": "o@example.com",
        "source": "https://example.com/x",
    },
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "word": {"type": "string", "pattern": "^[a-z]{1,10}$"},
        "taskId": {"type": "string"},
    },
    "additionalProperties": False,
}


def hook_body(**changes: Any) -> dict[str, Any]:
    """Return a body of createHook; a change to None leaves the field out."""
    given: dict[str, Any] = {
        "metadata": {"name": "Nightly", "description": "d", "owner": "o@example.com", "emailOnError": False},
        "task": TASK,
        "schedule": [],
        "bindings": [],
        "triggerSchema": SCHEMA,
    }
    given.update(changes)
    return {name: value for name, value in given.items() if value is not None}
