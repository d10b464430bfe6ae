"""Events under the names that the field's consumers know: exchange, routing key, payload.

Source: docs/reference/events.md#names
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

EXCHANGES: Final = "exchange/taskcluster-queue/v1/"
TASK_TOPICS: Final = (
    "task-defined",
    "task-pending",
    "task-running",
    "artifact-created",
    "task-completed",
    "task-failed",
    "task-exception",
)
GROUP_TOPICS: Final = ("task-group-resolved", "task-group-sealed")
TOPICS: Final = (*TASK_TOPICS, *GROUP_TOPICS)
"""The topics of the outbox that others may hear of."""
_ABSENT: Final = "_"


class Message(msgspec.Struct, frozen=True):
    """One event as consumers get it. `id` grows with time; `copies` are the further routing keys, `route.<route>`."""

    id: int
    topic: str
    key: str
    """The id of what the events are ordered by: a task or a task group."""
    routing: str
    payload: dict[str, Any]
    copies: tuple[str, ...] = ()

    @property
    def exchange(self) -> str:
        """The exchange's whole name."""
        return EXCHANGES + self.topic

    def wire(self) -> dict[str, Any]:
        """Return the event as it is sent."""
        return {
            "id": self.id,
            "exchange": self.exchange,
            "routing": self.routing,
            "routes": list(self.copies),
            "payload": self.payload,
        }


def topic_of(exchange: str) -> str | None:
    """Return the topic that has this exchange, None if there is none here."""
    topic = exchange.removeprefix(EXCHANGES)
    return topic if topic != exchange and topic in TOPICS else None


def message_of(number: int, topic: str, key: str, body: Mapping[str, Any]) -> Message | None:
    """Return the message about a row of the outbox, None if the row is not for others."""
    if topic in TASK_TOPICS:
        payload = {name: value for name, value in body.items() if name != "routes"}
        copies = tuple(f"route.{route}" for route in body["routes"])
        return Message(number, topic, key, _task_key(body), payload, copies)
    if topic in GROUP_TOPICS:
        routing = f"primary.{body['taskGroupId']}.{body['schedulerId']}.{_ABSENT}"
        return Message(number, topic, key, routing, dict(body))
    return None


def _task_key(body: Mapping[str, Any]) -> str:
    status = body["status"]
    run = body.get("runId")
    return ".".join(
        (
            "primary",
            status["taskId"],
            _ABSENT if run is None else str(run),
            body.get("workerGroup") or _ABSENT,
            body.get("workerId") or _ABSENT,
            status["provisionerId"],
            status["workerType"],
            status["schedulerId"],
            status["taskGroupId"],
            _ABSENT,
        )
    )
