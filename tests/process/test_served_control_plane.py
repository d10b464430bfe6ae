"""The official client creates, claims and resolves a task over real HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import slugid
import taskcluster

from control_plane_server import Served

pytestmark = pytest.mark.process


def definition() -> dict[str, object]:
    now = datetime.now(UTC)
    return {
        "taskQueueId": "test/queue",
        "created": now.isoformat(),
        "deadline": (now + timedelta(hours=1)).isoformat(),
        "payload": {},
        "metadata": {
            "name": "n",
            "description": "d",
            "owner": "o@example.com",
            "source": "https://example.com",
        },
    }


def test_a_task_is_created_claimed_and_completed_by_the_official_client(served: Served) -> None:
    queue = taskcluster.Queue(served.options)
    assert queue.ping()["alive"] is True
    task_id = slugid.nice()
    assert queue.createTask(task_id, definition())["status"]["state"] == "pending"
    claim = queue.claimWork("test/queue", {"tasks": 1, "workerGroup": "g", "workerId": "w"})["tasks"][0]
    assert claim["status"]["taskId"] == task_id
    worker = taskcluster.Queue(
        {"rootUrl": served.root_url, "credentials": claim["credentials"], "maxRetries": 0}
    )
    assert worker.reportCompleted(task_id, "0")["status"]["state"] == "completed"
    assert queue.status(task_id)["status"]["runs"][0]["reasonResolved"] == "completed"
