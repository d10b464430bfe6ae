"""Events have the exchanges and routing keys that the official client's classes subscribe to."""

from __future__ import annotations

from typing import Any

import pytest
import taskcluster

from liftlock.domain.events.bindings import Binding, Wanted
from liftlock.domain.events.naming import EXCHANGES, TASK_TOPICS, TOPICS, message_of, topic_of

STATUS = {
    "taskId": "T" * 22,
    "taskGroupId": "G" * 22,
    "provisionerId": "local",
    "workerType": "fast",
    "schedulerId": "demo-level-1",
}
OFFICIAL = taskcluster.QueueEvents({"rootUrl": "https://tc.example"})
METHODS = {
    "task-defined": OFFICIAL.taskDefined,
    "task-pending": OFFICIAL.taskPending,
    "task-running": OFFICIAL.taskRunning,
    "artifact-created": OFFICIAL.artifactCreated,
    "task-completed": OFFICIAL.taskCompleted,
    "task-failed": OFFICIAL.taskFailed,
    "task-exception": OFFICIAL.taskException,
    "task-group-resolved": OFFICIAL.taskGroupResolved,
    "task-group-sealed": OFFICIAL.taskGroupSealed,
}


def body(topic: str, **more: Any) -> dict[str, Any]:
    if topic not in TASK_TOPICS:
        return {"taskGroupId": "G" * 22, "schedulerId": "demo-level-1", "version": 1}
    return {"version": 1, "status": STATUS, "task": {"tags": {}}, "routes": ["a.b"], **more}


def bound(official: dict[str, str]) -> Wanted:
    return Wanted([Binding(official["exchange"], official["routingKeyPattern"])])


def test_every_topic_has_an_event_of_the_official_client() -> None:
    assert set(METHODS) == set(TOPICS)


@pytest.mark.parametrize("topic", TOPICS)
def test_the_official_clients_subscription_to_everything_gets_the_event(topic: str) -> None:
    message = message_of(7, topic, "T" * 22, body(topic, runId=0, workerGroup="g", workerId="w"))
    assert message is not None
    assert message in bound(METHODS[topic]())
    assert "routes" not in message.payload


@pytest.mark.parametrize("topic", TASK_TOPICS)
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("taskId", "T" * 22),
        ("runId", "3"),
        ("workerGroup", "g"),
        ("workerId", "w"),
        ("provisionerId", "local"),
        ("workerType", "fast"),
        ("schedulerId", "demo-level-1"),
        ("taskGroupId", "G" * 22),
    ],
)
def test_each_field_of_the_official_clients_routing_key_stands_in_its_place(
    topic: str, field: str, value: str
) -> None:
    message = message_of(7, topic, "T" * 22, body(topic, runId=3, workerGroup="g", workerId="w"))
    assert message is not None
    assert message in bound(METHODS[topic]({field: value}))
    assert message not in bound(METHODS[topic]({field: "other"}))


def test_what_an_event_lacks_is_an_underscore() -> None:
    message = message_of(7, "task-defined", "T" * 22, body("task-defined"))
    assert message is not None
    assert message.routing == f"primary.{'T' * 22}._._._.local.fast.demo-level-1.{'G' * 22}._"
    assert message.wire() == {
        "id": 7,
        "exchange": "exchange/taskcluster-queue/v1/task-defined",
        "routing": message.routing,
        "routes": ["route.a.b"],
        "payload": {"version": 1, "status": STATUS, "task": {"tags": {}}},
    }


def test_a_copy_is_found_by_its_route() -> None:
    message = message_of(7, "task-defined", "T" * 22, body("task-defined"))
    assert message in Wanted([Binding(f"{EXCHANGES}task-defined", "route.a.#")])
    assert message not in Wanted([Binding(f"{EXCHANGES}task-defined", "route.b.#")])


def test_other_rows_of_the_outbox_are_for_nobody() -> None:
    assert message_of(7, "role-updated", "r", {"roleId": "r"}) is None
    assert topic_of("exchange/taskcluster-queue/v1/role-updated") is None
    assert topic_of("task-defined") is None
