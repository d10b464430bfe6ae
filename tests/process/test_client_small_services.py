"""The official client's index, secrets, purge-cache, notify and worker-manager methods over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import taskcluster

from control_plane_server import serve
from queue_over_http import Stage, check_answers, soon, status_of
from task_builders import QUEUE

pytestmark = pytest.mark.process

SECRET = "s" * 44


@pytest.fixture(autouse=True)
def answered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Methods whose answers fitted the schemas that are published for them; one that does not fails its test."""
    return check_answers(monkeypatch)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with serve(tmp_path) as served:
        yield Stage(served)


def finished(stage: Stage, **changes: Any) -> str:
    task_id, run = stage.claim(**changes)
    stage.store(run, task_id, "public/out.txt", b"out of " + task_id.encode())
    run.reportCompleted(task_id, 0)
    return task_id


def test_a_completed_tasks_routes_are_found_in_the_index(stage: Stage) -> None:
    index = taskcluster.Index(stage.served.options)
    path = "demo.v2.widget.latest.taskgraph.decision"
    task_id = finished(stage, routes=[f"index.{path}"], extra={"index": {"rank": 5, "data": {"a": 1}}})
    found = index.findTask(path)
    assert (found["taskId"], found["rank"], found["data"], found["namespace"]) == (task_id, 5, {"a": 1}, path)
    lower = finished(stage, routes=[f"index.{path}"], extra={"index": {"rank": 4}})
    assert index.findTask(path)["taskId"] == task_id, f"{lower} has a lower rank"
    newer = finished(stage, routes=[f"index.{path}"], extra={"index": {"rank": 5}})
    assert index.findTask(path)["taskId"] == newer
    url = index.buildUrl("findArtifactFromTask", path, "public/out.txt")
    assert requests.get(url, timeout=30).content == b"out of " + newer.encode()


def test_a_failed_task_is_not_indexed(stage: Stage) -> None:
    task_id, run = stage.claim(routes=["index.a.b"])
    run.reportFailed(task_id, 0)
    assert status_of(lambda: taskcluster.Index(stage.served.options).findTask("a.b")) == 404


def test_the_index_is_listed_inserted_into_and_deleted_from(stage: Stage) -> None:
    index = taskcluster.Index(stage.served.options)
    task_id = stage.task()
    for path in ("a.one", "a.two", "a.below.three", "b"):
        given = {"taskId": task_id, "rank": 0, "data": {}, "expires": soon(days=1)}
        assert index.insertTask(path, given)["namespace"] == path
    assert [one["name"] for one in index.listNamespaces("")["namespaces"]] == ["a"]
    assert [one["namespace"] for one in index.listNamespaces("a")["namespaces"]] == ["a.below"]
    page = index.listTasks("a", query={"limit": 1})
    rest = index.listTasks("a", query={"continuationToken": page["continuationToken"]})
    assert [one["namespace"] for one in page["tasks"] + rest["tasks"]] == ["a.one", "a.two"]
    many = index.findTasksAtIndex({"indexes": ["b", "nowhere", "a.two"]})["tasks"]
    assert [one["namespace"] for one in many] == ["b", "a.two"]
    index.deleteTask("b")
    assert status_of(lambda: index.findTask("b")) == 404
    assert status_of(lambda: index.findTask("a..b")) == 400


def test_secrets_are_set_read_listed_removed_and_expire(stage: Stage) -> None:
    secrets = taskcluster.Secrets(stage.served.options)
    secrets.set("project/x/token", {"secret": {"value": "hunter2"}, "expires": soon(days=1)})
    found = secrets.get("project/x/token")
    assert found["secret"] == {"value": "hunter2"}
    assert secrets.list()["secrets"] == ["project/x/token"]
    data = b"".join(path.read_bytes() for path in stage.served.directory.glob("liftlock.db*"))
    assert b"hunter2" not in data
    assert b"secrets.get" in data, "the read is in the audit log"
    secrets.remove("project/x/token")
    assert status_of(lambda: secrets.get("project/x/token")) == 404
    assert status_of(lambda: secrets.set("x", {"secret": {}, "expires": soon(days=-1)})) == 400
    reader = taskcluster.Secrets(stage.as_holder_of("secrets:get:project/y/*").options)
    assert status_of(lambda: reader.get("project/x/token")) == 403


def test_caches_are_purged_with_the_scopes_of_the_reference(stage: Stage) -> None:
    purges = taskcluster.PurgeCache(stage.served.options)
    purges.purgeCache(QUEUE, {"cacheName": "checkouts"})
    [request] = purges.purgeRequests(QUEUE)["requests"]
    assert (request["cacheName"], request["workerType"]) == ("checkouts", "unprivileged")
    assert purges.allPurgeRequests()["requests"][0]["workerPoolId"] == QUEUE
    assert purges.purgeRequests(QUEUE, query={"since": soon(minutes=1)})["requests"] == []
    worker = taskcluster.PurgeCache(stage.as_holder_of(f"purge-cache:purge-requests::{QUEUE}").options)
    assert len(worker.purgeRequests(QUEUE)["requests"]) == 1
    assert status_of(lambda: worker.purgeCache(QUEUE, {"cacheName": "x"})) == 403


def test_notifications_say_clearly_that_nothing_is_sent(stage: Stage) -> None:
    notify = taskcluster.Notify(stage.served.options)
    mail = {"address": "a@example.com", "subject": "s", "content": "c"}
    with pytest.raises(taskcluster.exceptions.TaskclusterRestFailure, match="no mail server is configured"):
        notify.email(mail)
    denied = {"notificationType": "email", "notificationAddress": "a@example.com"}
    notify.addDenylistAddress(denied)
    assert notify.listDenylist()["addresses"] == [denied]
    with pytest.raises(taskcluster.exceptions.TaskclusterRestFailure, match="no notifications"):
        notify.email(mail)
    notify.deleteDenylistAddress(denied)
    assert notify.listDenylist()["addresses"] == []
    with pytest.raises(taskcluster.exceptions.TaskclusterRestFailure, match="events"):
        notify.pulse({"routingKey": "x", "message": {}})


def test_a_static_worker_registers_works_and_is_removed(stage: Stage) -> None:
    manager = taskcluster.WorkerManager(stage.served.options)
    pool = {
        "providerId": "static",
        "description": "d",
        "owner": "o@example.com",
        "emailOnError": False,
        "config": {"workerConfig": {"a": 1}},
    }
    assert manager.createWorkerPool("own/pool", pool)["currentCapacity"] == 0
    assert status_of(lambda: manager.createWorkerPool("own/pool2", {**pool, "providerId": "aws"})) == 400
    given = {"expires": soon(days=2), "capacity": 2, "providerInfo": {"staticSecret": SECRET}}
    manager.createWorker("own/pool", "g", "w", given)
    assert status_of(lambda: manager.createWorker("own/pool", "g", "w", given)) == 409
    proof = {
        "workerPoolId": "own/pool",
        "providerId": "static",
        "workerGroup": "g",
        "workerId": "w",
        "workerIdentityProof": {"staticSecret": SECRET},
    }
    anonymous = taskcluster.WorkerManager({"rootUrl": stage.served.root_url, "maxRetries": 0})
    wrong = {**proof, "workerIdentityProof": {"staticSecret": "t" * 44}}
    assert status_of(lambda: anonymous.registerWorker(wrong)) == 403
    assert status_of(lambda: anonymous.registerWorker({**proof, "workerId": "other"})) == 403
    registered = anonymous.registerWorker(proof)
    assert registered["workerConfig"] == {"a": 1}
    options = {"rootUrl": stage.served.root_url, "credentials": registered["credentials"], "maxRetries": 0}
    task_id = stage.task(taskQueueId="own/pool")
    work = taskcluster.Queue(options).claimWork("own/pool", {"workerGroup": "g", "workerId": "w"})
    assert work["tasks"][0]["status"]["taskId"] == task_id
    worker = taskcluster.WorkerManager(options)
    again = worker.reregisterWorker(
        {"workerPoolId": "own/pool", "workerGroup": "g", "workerId": "w", "secret": registered["secret"]}
    )
    assert again["secret"] != registered["secret"]
    assert worker.shouldWorkerTerminate("own/pool", "g", "w")["terminate"] is False
    assert manager.workerPool("own/pool")["runningCapacity"] == 2
    report = {"kind": "k", "title": "t", "description": "d", "workerGroup": "g", "workerId": "w", "extra": {}}
    worker.reportWorkerError("own/pool", report)
    assert manager.listWorkerPoolErrors("own/pool")["workerPoolErrors"][0]["title"] == "t"
    assert [one["workerId"] for one in manager.listWorkersForWorkerPool("own/pool")["workers"]] == ["w"]
    manager.removeWorker("own/pool", "g", "w")
    assert worker.shouldWorkerTerminate("own/pool", "g", "w")["terminate"] is True
    assert status_of(lambda: anonymous.registerWorker(proof)) == 403
    manager.deleteWorkerPool("own/pool")
    assert manager.listWorkerPools()["workerPools"] == []
