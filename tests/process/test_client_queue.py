"""The official client's queue methods against a control plane over real HTTP."""

from __future__ import annotations

import gzip
import hashlib
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
import taskcluster
from taskcluster import upload as official_upload
from taskcluster.download import downloadArtifactToBuf
from taskcluster.exceptions import TaskclusterRestFailure

from control_plane_server import Served
from queue_over_http import check_answers
from task_builders import QUEUE, document

pytestmark = pytest.mark.process

WORKER = {"workerGroup": "local", "workerId": "w1"}


def now() -> datetime:
    return datetime.now(UTC)


def later(**delta: float) -> str:
    return taskcluster.stringDate(now() + timedelta(**delta))


def new_task(queue: taskcluster.Queue, **changes: Any) -> str:
    task_id: str = taskcluster.slugId()
    queue.createTask(task_id, document(now(), **changes))
    return task_id


def status_code(call: Any) -> int:
    with pytest.raises(TaskclusterRestFailure) as caught:
        call()
    code: int = caught.value.status_code
    return code


def claimed(served: Served, queue: taskcluster.Queue) -> tuple[dict[str, Any], taskcluster.Queue]:
    """A new task's claim, and a client with the claim's credentials."""
    new_task(queue)
    [claim] = queue.claimWork(QUEUE, {**WORKER, "tasks": 1})["tasks"]
    return claim, as_run(served, claim)


def as_run(served: Served, claim: dict[str, Any]) -> taskcluster.Queue:
    return taskcluster.Queue(
        {"rootUrl": served.root_url, "credentials": claim["credentials"], "maxRetries": 0}
    )


@pytest.fixture(autouse=True)
def answered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Methods whose answers fitted the schemas that are published for them; one that does not fails its test."""
    return check_answers(monkeypatch)


@pytest.fixture
def queue(served: Served) -> taskcluster.Queue:
    return taskcluster.Queue(served.options)


def test_a_task_is_created_claimed_reclaimed_and_completed(
    served: Served, queue: taskcluster.Queue, answered: list[str]
) -> None:
    task_id = new_task(queue, priority="high")
    assert queue.status(task_id)["status"]["state"] == "pending"
    [claim] = queue.claimWork(QUEUE, {**WORKER, "tasks": 4})["tasks"]
    assert (claim["status"]["taskId"], claim["runId"], claim["task"]["priority"]) == (task_id, 0, "high")
    run = as_run(served, claim)
    renewed = run.reclaimTask(task_id, 0)
    assert renewed["takenUntil"] >= claim["takenUntil"]
    again = as_run(served, renewed)
    assert again.reportCompleted(task_id, 0)["status"]["state"] == "completed"
    assert again.reportCompleted(task_id, "0")["status"]["state"] == "completed"
    assert status_code(lambda: again.reportFailed(task_id, 0)) == 409
    assert status_code(lambda: again.reclaimTask(task_id, 0)) == 409
    assert {"createTask", "status", "claimWork", "reclaimTask", "reportCompleted"} <= set(answered)


def test_creating_twice_is_idempotent_and_a_different_task_is_a_conflict(queue: taskcluster.Queue) -> None:
    task_id, given = taskcluster.slugId(), document(now())
    assert queue.createTask(task_id, given) == queue.createTask(task_id, given)
    assert status_code(lambda: queue.createTask(task_id, {**given, "retries": 1})) == 409
    assert status_code(lambda: queue.createTask(taskcluster.slugId(), {**given, "retries": 99})) == 400


def test_claim_work_answers_as_soon_as_work_arrives(queue: taskcluster.Queue, served: Served) -> None:
    answers: list[Any] = []
    waiting = threading.Thread(
        target=lambda: answers.append(
            taskcluster.Queue(served.options).claimWork(QUEUE, {**WORKER, "tasks": 1})
        )
    )
    started = now()
    waiting.start()
    first = new_task(queue)
    second = new_task(queue, dependencies=[first])
    waiting.join(15)
    assert [one["status"]["taskId"] for one in answers[0]["tasks"]] == [first]
    blocked = threading.Thread(
        target=lambda: answers.append(
            taskcluster.Queue(served.options).claimWork(QUEUE, {**WORKER, "tasks": 1})
        )
    )
    blocked.start()
    as_run(served, answers[0]["tasks"][0]).reportCompleted(first, 0)
    blocked.join(15)
    assert [one["status"]["taskId"] for one in answers[1]["tasks"]] == [second]
    assert now() - started < timedelta(seconds=18), "a long poll would have lasted 20 s"


def test_an_s3_artifact_goes_up_compressed_and_comes_back_whole(
    served: Served, queue: taskcluster.Queue
) -> None:
    claim, run = claimed(served, queue)
    task_id = claim["status"]["taskId"]
    data = b"hello artifact\n" * 1000
    made = run.createArtifact(
        task_id,
        0,
        "public/build/log.txt",
        {"storageType": "s3", "contentType": "text/plain", "expires": later(days=1)},
    )
    assert status_code(lambda: queue.getArtifact(task_id, 0, "public/build/log.txt")) == 404
    assert queue.listArtifacts(task_id, 0)["artifacts"] == []
    put = requests.put(
        made["putUrl"],
        data=gzip.compress(data),
        headers={"Content-Type": "text/plain", "Content-Encoding": "gzip"},
    )
    assert put.status_code == 200, put.text
    [listed] = queue.listLatestArtifacts(task_id)["artifacts"]
    assert (listed["name"], listed["contentLength"]) == ("public/build/log.txt", len(data))
    assert listed["sha256"] == hashlib.sha256(data).hexdigest()
    found = queue.getLatestArtifact(task_id, "public/build/log.txt")
    answer = requests.get(found["url"])
    assert answer.content == data
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-encoding"] == "gzip"
    redirected = requests.get(queue.buildSignedUrl("getLatestArtifact", task_id, "public/build/log.txt"))
    assert (redirected.content, len(redirected.history), redirected.history[0].status_code) == (data, 1, 303)
    part = requests.get(
        found["url"], headers={"Range": "bytes=0-1", "Accept-Encoding": "identity"}, stream=True
    )
    assert (part.status_code, part.raw.read()) == (206, gzip.compress(data)[:2])
    body, kind = downloadArtifactToBuf(taskId=task_id, name="public/build/log.txt", queueService=queue)
    assert (bytes(body), kind) == (data, "text/plain")
    info = queue.latestArtifactInfo(task_id, "public/build/log.txt")
    assert info["storageType"] == "s3"


def test_an_object_artifact_goes_through_the_official_uploader(
    served: Served, queue: taskcluster.Queue
) -> None:
    claim, run = claimed(served, queue)
    task_id = claim["status"]["taskId"]
    for name, data in (("public/small", b"small"), ("public/large", b"large" * 10_000)):
        made = run.createArtifact(
            task_id,
            0,
            name,
            {"storageType": "object", "contentType": "application/x-thing", "expires": later(days=1)},
        )
        objects = taskcluster.Object(
            {"rootUrl": served.root_url, "credentials": made["credentials"], "maxRetries": 0}
        )
        official_upload.uploadFromBuf(
            projectId=made["projectId"],
            name=made["name"],
            contentType="application/x-thing",
            contentLength=len(data),
            expires=made["expires"],
            uploadId=made["uploadId"],
            objectService=objects,
            data=data,
        )
        assert status_code(lambda name=name: queue.getLatestArtifact(task_id, name)) == 404
        run.finishArtifact(task_id, 0, name, {"uploadId": made["uploadId"]})
        body, kind = downloadArtifactToBuf(taskId=task_id, name=name, queueService=queue)
        assert (bytes(body), kind) == (data, "application/x-thing")
        answer = requests.get(queue.getLatestArtifact(task_id, name)["url"])
        assert answer.content == data
        assert answer.headers["content-disposition"].startswith("attachment")


def test_references_links_and_errors_answer_as_documented(served: Served, queue: taskcluster.Queue) -> None:
    claim, run = claimed(served, queue)
    task_id = claim["status"]["taskId"]

    def make(name: str, **given: Any) -> None:
        run.createArtifact(task_id, 0, name, {"expires": later(days=1), **given})

    make("public/there", storageType="reference", contentType="text/html", url="https://example.com/there")
    make("public/alias", storageType="link", contentType="text/html", artifact="public/there")
    make("public/broken", storageType="error", reason="file-missing-on-worker", message="no such file")
    assert queue.getLatestArtifact(task_id, "public/alias")["url"] == "https://example.com/there"
    assert queue.latestArtifact(task_id, "public/alias")["storageType"] == "reference"
    assert status_code(lambda: queue.getLatestArtifact(task_id, "public/broken")) == 424
    assert queue.latestArtifact(task_id, "public/broken")["reason"] == "file-missing-on-worker"
    make("public/there", storageType="link", contentType="text/html", artifact="public/alias")
    assert status_code(lambda: queue.getLatestArtifact(task_id, "public/there")) == 400


def test_a_live_log_can_be_followed_while_the_task_runs(served: Served, queue: taskcluster.Queue) -> None:
    claim, run = claimed(served, queue)
    task_id = claim["status"]["taskId"]
    base = f"{served.root_url}/api/queue/v1/task/{task_id}/runs/0/live-log/public/logs/live_backing.log"

    def append(offset: int, data: bytes) -> requests.Response:
        url = f"{base}?offset={offset}"
        header = taskcluster.client.mohawk.Sender(  # the run's own credentials sign it
            {
                "id": claim["credentials"]["clientId"],
                "key": claim["credentials"]["accessToken"],
                "algorithm": "sha256",
            },
            url,
            "POST",
            content=data,
            content_type="text/plain",
            ext=run.makeHawkExt(),
        ).request_header
        return requests.post(url, data=data, headers={"Authorization": header, "Content-Type": "text/plain"})

    assert append(0, b"line 1\n").json() == {"size": 7}
    lines: list[bytes] = []
    follower = threading.Thread(
        target=lambda: lines.extend(
            requests.get(base, headers=_signed(served, base), stream=True, timeout=30).iter_lines()
        )
    )
    follower.start()
    assert append(7, b"line 2\n").json() == {"size": 14}
    assert append(7, b"line 2\n").json() == {"size": 14}, "repeated"
    assert append(99, b"gap").status_code == 409
    run.reportCompleted(task_id, 0)
    follower.join(20)
    assert lines == [b"line 1", b"line 2"]
    assert append(14, b"too late\n").status_code == 409


def _signed(served: Served, url: str) -> dict[str, str]:
    credentials: dict[str, str] = served.options["credentials"]  # type: ignore[assignment]  # it is
    sender = taskcluster.client.mohawk.Sender(
        {"id": credentials["clientId"], "key": credentials["accessToken"], "algorithm": "sha256"},
        url,
        "GET",
        content="",
        content_type="",
    )
    return {"Authorization": sender.request_header}


def test_groups_are_listed_sealed_and_canceled(queue: taskcluster.Queue) -> None:
    first = new_task(queue)
    others = [new_task(queue, taskGroupId=first) for _ in range(3)]
    page = queue.listTaskGroup(first, query={"limit": 2})
    rest = queue.listTaskGroup(first, query={"continuationToken": page["continuationToken"]})
    ids = [one["status"]["taskId"] for one in page["tasks"] + rest["tasks"]]
    assert ids == [first, *others]
    assert status_code(lambda: queue.cancelTaskGroup(first)) == 409
    assert "sealed" in queue.sealTaskGroup(first)
    assert status_code(lambda: new_task(queue, taskGroupId=first)) == 409
    answer = queue.cancelTaskGroup(first)
    assert (answer["cancelledCount"], answer["taskGroupSize"]) == (4, 4)
    assert queue.getTaskGroup(first)["schedulerId"] == "demo-level-1"
    assert queue.status(first)["status"]["runs"][0]["reasonResolved"] == "canceled"


def test_cancel_rerun_schedule_and_dependents(served: Served, queue: taskcluster.Queue) -> None:
    first = new_task(queue)
    second = new_task(queue, dependencies=[first])
    assert [one["status"]["taskId"] for one in queue.listDependentTasks(first)["tasks"]] == [second]
    assert queue.scheduleTask(second)["status"]["state"] == "pending"
    assert queue.cancelTask(first)["status"]["state"] == "exception"
    assert queue.rerunTask(first)["status"]["runs"][1]["reasonCreated"] == "rerun"
    assert queue.changeTaskPriority(first, {"newPriority": "high"})["status"]["priority"] == "high"
    assert queue.task(first)["priority"] == "lowest"
    both = {"taskIds": [first, second]}
    assert [one["taskId"] for one in queue.tasks(both)["tasks"]] == [first, second]
    assert [one["status"]["taskId"] for one in queue.statuses(both)["statuses"]] == [first, second]
    counts = queue.taskQueueCounts(QUEUE)
    assert (counts["pendingTasks"], counts["claimedTasks"]) == (2, 0)
    assert queue.pendingTasks(QUEUE)["pendingTasks"] == 2
    assert len(queue.listPendingTasks(QUEUE)["tasks"]) == 2
    assert queue.taskQueueCountsBatch({"taskQueueIds": [QUEUE]})["taskQueues"][0]["pendingTasks"] == 2
    assert queue.changeTaskGroupPriority(first, {"newPriority": "low"})["tasksAffected"] == 1


def test_an_exception_of_the_worker_is_retried(served: Served, queue: taskcluster.Queue) -> None:
    claim, run = claimed(served, queue)
    task_id = claim["status"]["taskId"]
    status = run.reportException(task_id, 0, {"reason": "worker-shutdown"})["status"]
    assert [one["reasonCreated"] for one in status["runs"]] == ["scheduled", "retry"]


def test_workers_are_seen_quarantined_and_released(served: Served, queue: taskcluster.Queue) -> None:
    claimed(served, queue)
    [worker] = queue.listWorkers("local", "unprivileged")["workers"]
    assert (worker["workerId"], worker["latestTask"]["runId"]) == ("w1", 0)
    queue.quarantineWorker("local", "unprivileged", "local", "w1", {"quarantineUntil": later(days=1)})
    assert len(queue.listWorkers("local", "unprivileged", query={"quarantined": "true"})["workers"]) == 1
    assert queue.listWorkers("local", "unprivileged", query={"quarantined": "false"})["workers"] == []
    assert queue.listTaskQueues()["taskQueues"][0]["taskQueueId"] == QUEUE
    assert queue.getTaskQueue(QUEUE)["workerType"] == "unprivileged"
    assert queue.listProvisioners()["provisioners"][0]["provisionerId"] == "local"
    assert queue.listWorkerTypes("local")["workerTypes"][0]["workerType"] == "unprivileged"
    got = queue.getWorker("local", "unprivileged", "local", "w1")
    assert got["quarantineDetails"][0]["clientId"] == "static/liftlock/root"


def test_every_method_of_the_generated_client_has_its_route(served: Served) -> None:
    missing = []
    for service in (
        taskcluster.Queue,
        taskcluster.Index,
        taskcluster.Secrets,
        taskcluster.PurgeCache,
        taskcluster.Notify,
        taskcluster.Object,
        taskcluster.WorkerManager,
    ):
        for name, info in service.funcinfo.items():
            path = info["route"]
            for argument in info["args"]:
                path = path.replace(f"<{argument}>", "x")
            url = f"{served.root_url}/api/{service.serviceName}/v1{path}"
            answer = requests.request(info["method"].upper(), url, json={}, timeout=30)
            if answer.status_code == 404 and "no such route" in answer.text:
                missing.append(f"{service.serviceName}.{name}")
    assert missing == []
