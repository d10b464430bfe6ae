"""Nobody creates or moves tasks beyond their own scopes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mohawk
import pytest
import requests
import taskcluster

from control_plane_server import ROOT, serve
from liftlock.values.json import encode
from queue_over_http import Stage, status_of
from task_builders import QUEUE, document

FEW = (
    f"queue:create-task:low:{QUEUE}",
    "queue:create-task:project:none",
    "queue:scheduler-id:demo-level-1",
)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with serve(tmp_path) as served:
        yield Stage(served)


def create(queue: taskcluster.Queue, **changes: Any) -> str:
    task_id: str = taskcluster.slugId()
    queue.createTask(task_id, document(datetime.now(UTC), **changes))
    return task_id


def test_a_task_id_that_others_will_depend_on_can_not_be_taken_before_it_exists(stage: Stage) -> None:
    wanted = taskcluster.slugId()
    assert status_of(lambda: create(stage.root, dependencies=[wanted])) == 400
    mallory = stage.as_holder_of(*FEW)
    mallory.createTask(wanted, document(datetime.now(UTC)))
    given = document(
        datetime.now(UTC), metadata={"name": "real", "description": "", "owner": "", "source": "https://x"}
    )
    assert status_of(lambda: stage.root.createTask(wanted, given)) == 409, "the collision is seen, not obeyed"


@pytest.mark.parametrize(
    "change",
    [
        {"priority": "medium"},
        {"schedulerId": "demo-level-3"},
        {"projectId": "other"},
        {"taskQueueId": "local/privileged"},
        {"scopes": ["secrets:get:x"]},
        {"scopes": ["*"]},
        {"routes": ["index.demo.v2.latest"]},
    ],
)
def test_a_task_beyond_its_creators_scopes_is_refused(stage: Stage, change: dict[str, Any]) -> None:
    mallory = stage.as_holder_of(*FEW)
    assert create(mallory, priority="low")
    assert status_of(lambda: create(mallory, **change)) == 403


def test_changing_a_priority_is_no_way_around_the_queues_priorities(stage: Stage) -> None:
    mallory = stage.as_holder_of(*FEW, "queue:change-task-priority:*", "queue:change-task-group-priority:*")
    task_id = create(mallory, priority="low")
    assert status_of(lambda: mallory.changeTaskPriority(task_id, {"newPriority": "highest"})) == 403
    assert status_of(lambda: mallory.changeTaskGroupPriority(task_id, {"newPriority": "highest"})) == 403
    assert mallory.changeTaskPriority(task_id, {"newPriority": "lowest"})["status"]["priority"] == "lowest"


def test_a_task_group_of_another_scheduler_can_not_be_joined(stage: Stage) -> None:
    group = stage.task(schedulerId="demo-level-3")
    mallory = stage.as_holder_of(*FEW)
    assert status_of(lambda: create(mallory, taskGroupId=group)) == 409


def test_a_sealed_group_takes_no_task_from_anybody(stage: Stage) -> None:
    group = stage.task()
    stage.root.sealTaskGroup(group)
    assert status_of(lambda: create(stage.root, taskGroupId=group)) == 409


def test_what_exists_is_not_told_to_who_may_not_see_it(stage: Stage) -> None:
    nobody = stage.as_holder_of("nothing:at-all")
    there, absent = stage.task(), taskcluster.slugId()
    for task_id in (there, absent):
        assert status_of(lambda task_id=task_id: nobody.task(task_id)) == 403
        assert status_of(lambda task_id=task_id: nobody.listDependentTasks(task_id)) == 403
        assert status_of(lambda task_id=task_id: nobody.getTaskGroup(task_id)) == 403
        assert status_of(lambda task_id=task_id: nobody.sealTaskGroup(task_id)) == 403
        assert status_of(lambda task_id=task_id: nobody.getLatestArtifact(task_id, "private/x")) == 403


def test_a_replayed_creation_is_refused(stage: Stage) -> None:
    task_id = stage.task()
    url = f"{stage.served.root_url}/api/queue/v1/task/{task_id}/cancel"
    key = {"id": ROOT.client_id, "key": ROOT.access_token, "algorithm": "sha256"}
    body = encode({})
    sender = mohawk.Sender(key, url, "POST", content=body, content_type="application/json")
    headers = {"Authorization": sender.request_header, "Content-Type": "application/json"}
    answers = [requests.post(url, data=body, headers=headers, timeout=30).status_code for _ in range(2)]
    assert answers == [200, 401]
