"""Every method of the official client does its work, and each answer is as the schema that is published for it says (E1)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests
import taskcluster
from taskcluster.exceptions import TaskclusterRestFailure

import client_methods
from client_methods import ARGUMENTS, HOUSEKEEPING, NOT_OFFERED, POOL, QUEUE, SECRET, TASK, methods, soon
from control_plane_server import Served, serve
from queue_over_http import check_answers
from task_builders import document

pytestmark = pytest.mark.process
BODY = client_methods.bodies()
FURTHER = {
    "reference": {"storageType": "reference", "url": "https://example.com/x", "contentType": "text/plain"},
    "object": {"storageType": "object", "contentType": "text/plain"},
}
REFUSED = {"Notify.matrix": 400, "Notify.pulse": 400, "Notify.slack": 400}
"""Methods that answer nobody anything but this; the compatibility page says so."""


class Walk:
    """Calls methods as root, and keeps which were called with success."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.called: set[str] = set()

    def __call__(self, method: str, *given: Any, credentials: Any = None, **query: Any) -> Any:
        """Call a method such as `Auth.client`; its answer."""
        name, _, verb = method.partition(".")
        options = (
            self.served.options if credentials is None else self.served.options | {"credentials": credentials}
        )
        client = getattr(taskcluster, name)(options)
        if method in REFUSED:
            with pytest.raises(TaskclusterRestFailure) as refused:
                getattr(client, verb)(*given)
            assert refused.value.status_code == REFUSED[method]
            answer = None
        else:
            answer = getattr(client, verb)(*given, **({"query": query} if query else {}))
        self.called.add(method)
        return answer

    def all_of(self, service: str, *verbs: str) -> None:
        """Call methods with the arguments that all these tests have, and the bodies that fit."""
        entries = {str(one): one.entry for one in methods()}
        for verb in verbs:
            entry = entries[f"{service}.{verb}"]
            self(f"{service}.{verb}", *(ARGUMENTS[name] for name in entry["args"]))

    def running(self) -> tuple[str, Any]:
        """Return a new task that runs, and its run's credentials."""
        task_id: str = taskcluster.slugId()
        self("Queue.createTask", task_id, BODY["queue/create-task-request"])
        claim = self("Queue.claimTask", task_id, "0", BODY["queue/claim-task-request"])
        return task_id, claim["credentials"]


def auth(walk: Walk) -> None:
    client, role = ARGUMENTS["clientId"], ARGUMENTS["roleId"]
    walk("Auth.createClient", client, BODY["auth/create-client-request"])
    walk("Auth.updateClient", client, {"description": "d", "expires": soon(days=2)})
    walk("Auth.createRole", role, BODY["auth/create-role-request"])
    walk("Auth.updateRole", role, {"description": "d", "scopes": ["other:scope"]})
    walk.all_of(
        "Auth", "client", "role", "listClients", "listRoles", "listRoles2", "listRoleIds", "currentScopes"
    )
    walk("Auth.expandScopes", {"scopes": [f"assume:{role}"]})
    walk.all_of(
        "Auth", "disableClient", "enableClient", "resetAccessToken", "getEntityHistory", "listAuditHistory"
    )
    tester = {"clientId": "tester", "accessToken": "no-secret"}
    walk("Auth.testAuthenticate", BODY["auth/test-authenticate-request"], credentials=tester)
    walk("Auth.testAuthenticateGet", credentials=tester)
    walk("Auth.authenticateHawk", BODY["auth/authenticate-hawk-request"])
    walk.all_of("Auth", "deleteClient", "deleteRole")


def hooks(walk: Walk) -> None:
    times = {"created": "0 seconds", "deadline": "1 hour", "expires": "1 day"}
    task = {**document(), **{name: {"$fromNow": length} for name, length in times.items()}}
    given = {**BODY["hooks/create-hook-request"], "task": task}
    hook = ("group", "hook")
    scopes = ["queue:create-task:*", "queue:scheduler-id:*"]
    walk("Auth.createRole", "hook-id:group/hook", {"description": "", "scopes": scopes})
    walk("Hooks.createHook", *hook, given)
    walk("Hooks.updateHook", *hook, given)
    walk.all_of("Hooks", "hook", "listHooks", "listHookGroups", "getHookStatus", "resetTriggerToken")
    token = walk("Hooks.getTriggerToken", *hook)["token"]
    walk("Hooks.triggerHook", *hook, {})
    walk("Hooks.triggerHookWithToken", *hook, token, {})
    assert len(walk("Hooks.listLastFires", *hook)["lastFires"]) == 2
    walk("Hooks.removeHook", *hook)


def small(walk: Walk) -> None:
    walk("Secrets.set", "private/x", BODY["secrets/secret"])
    walk.all_of("Secrets", "get", "list", "remove")
    walk("PurgeCache.purgeCache", POOL, BODY["purge-cache/purge-cache-request"])
    walk.all_of("PurgeCache", "purgeRequests", "allPurgeRequests")
    address = BODY["notify/notification-address"]
    for verb, given in (
        ("email", BODY["notify/email-request"]),
        ("matrix", BODY["notify/matrix-request"]),
        ("pulse", BODY["notify/pulse-request"]),
        ("slack", BODY["notify/slack-request"]),
        ("addDenylistAddress", address),
        ("deleteDenylistAddress", address),
    ):
        walk(f"Notify.{verb}", given)
    walk("Notify.listDenylist")


def objects(walk: Walk) -> None:
    inline = {"dataInline": {"contentType": "text/plain", "objectData": "aGVsbG8="}}
    upload = {**BODY["object/create-upload-request"], "proposedUploadMethods": inline}
    assert "dataInline" in walk("Object.createUpload", "private/x", upload)["uploadMethod"]
    walk("Object.finishUpload", "private/x", BODY["object/finish-upload-request"])
    walk("Object.startDownload", "private/x", BODY["object/download-object-request"])
    walk("Object.object", "private/x")
    link = taskcluster.Object(walk.served.options).buildSignedUrl("download", "private/x")
    assert requests.get(link, timeout=30).text == "hello"
    walk.called.add("Object.download")


def queue(walk: Walk) -> None:
    walk("Queue.createTask", TASK, BODY["queue/create-task-request"])
    walk.all_of("Queue", "task", "status", "listTaskGroup", "getTaskGroup", "listDependentTasks")
    walk("Queue.tasks", {"taskIds": [TASK]})
    walk("Queue.statuses", {"taskIds": [TASK]})
    walk("Queue.changeTaskPriority", TASK, {"newPriority": "high"})
    walk("Queue.changeTaskGroupPriority", TASK, {"newPriority": "highest"})
    walk.all_of("Queue", "pendingTasks", "listPendingTasks", "taskQueueCounts")
    walk("Queue.taskQueueCountsBatch", BODY["queue/task-queue-counts-request"])
    waiting = taskcluster.slugId()
    alone = {**BODY["queue/create-task-request"], "dependencies": [TASK]}
    walk("Queue.createTask", waiting, alone)
    walk("Queue.scheduleTask", waiting)
    claims = walk("Queue.claimWork", QUEUE, {**BODY["queue/claim-work-request"], "tasks": 9})["tasks"]
    assert {TASK, waiting} <= {claim["status"]["taskId"] for claim in claims}
    walk.all_of("Queue", "listClaimedTasks")
    run, credentials = walk.running()
    artifacts(walk, run, credentials)
    walk("Queue.reclaimTask", run, "0", credentials=credentials)
    walk("Queue.reportCompleted", run, "0")
    walk("Queue.rerunTask", run)
    for report, given in (("reportFailed", ()), ("reportException", (BODY["queue/task-exception-request"],))):
        walk(f"Queue.{report}", walk.running()[0], "0", *given)
    walk("Queue.cancelTask", TASK)
    walk("Queue.sealTaskGroup", TASK)
    walk("Queue.cancelTaskGroup", TASK)


def artifacts(walk: Walk, task_id: str, credentials: Any) -> None:
    for name, given in FURTHER.items():
        made = walk(
            "Queue.createArtifact",
            task_id,
            "0",
            f"public/{name}",
            {**given, "expires": soon(days=1)},
            credentials=credentials,
        )
        if name == "object":
            inline = {"dataInline": {"contentType": "text/plain", "objectData": "aGVsbG8="}}
            upload = {
                "projectId": made["projectId"],
                "uploadId": made["uploadId"],
                "expires": made["expires"],
            }
            walk(
                "Object.createUpload",
                made["name"],
                {**upload, "proposedUploadMethods": inline},
                credentials=made["credentials"],
            )
            walk(
                "Object.finishUpload",
                made["name"],
                {k: upload[k] for k in ("projectId", "uploadId")},
                credentials=made["credentials"],
            )
            walk(
                "Queue.finishArtifact",
                task_id,
                "0",
                "public/object",
                {"uploadId": made["uploadId"]},
                credentials=credentials,
            )
    walk("Queue.listArtifacts", task_id, "0")
    walk("Queue.listLatestArtifacts", task_id)
    for verb in ("artifact", "artifactInfo", "getArtifact"):
        walk(f"Queue.{verb}", task_id, "0", "public/object")
    for verb in ("latestArtifact", "latestArtifactInfo", "getLatestArtifact"):
        walk(f"Queue.{verb}", task_id, "public/object")


def index(walk: Walk) -> None:
    walk("Index.insertTask", "demo.one", {**BODY["index/insert-task-request"]})
    walk.all_of("Index", "findTask", "listNamespaces", "listTasks")
    walk("Index.findTasksAtIndex", BODY["index/list-tasks-at-index"])
    run, credentials = walk.running()
    given = {**FURTHER["reference"], "expires": soon(days=1)}
    walk("Queue.createArtifact", run, "0", "private/x", given, credentials=credentials)
    walk("Index.insertTask", "demo.one", {**BODY["index/insert-task-request"], "taskId": run, "rank": 2})
    assert walk("Index.findArtifactFromTask", "demo.one", "private/x")
    walk("Index.deleteTask", "demo.one")


def workers(walk: Walk) -> None:
    names = ("local", "unprivileged", "g", "w")
    walk("Queue.declareWorker", *names, BODY["queue/update-worker-request"])
    walk("Queue.quarantineWorker", *names, BODY["queue/quarantine-worker-request"])
    walk.all_of(
        "Queue", "getWorker", "listWorkers", "getWorkerType", "listWorkerTypes", "getProvisioner", "listProvisioners",
        "getTaskQueue", "listTaskQueues",
    )  # fmt: skip
    worker = (POOL, "g", "w")
    walk("WorkerManager.createWorkerPool", POOL, BODY["worker-manager/create-worker-pool-request"])
    walk("WorkerManager.updateWorkerPool", POOL, BODY["worker-manager/update-worker-pool-request"])
    made = BODY["worker-manager/create-worker-request"]
    walk("WorkerManager.createWorker", *worker, made)
    walk("WorkerManager.updateWorker", *worker, {**made, "providerInfo": {"staticSecret": SECRET}})
    registered = walk("WorkerManager.registerWorker", BODY["worker-manager/register-worker-request"])
    again = {**BODY["worker-manager/reregister-worker-request"], "secret": registered["secret"]}
    walk("WorkerManager.reregisterWorker", again, credentials=registered["credentials"])
    walk("WorkerManager.reportWorkerError", POOL, BODY["worker-manager/report-worker-error-request"])
    walk("WorkerManager.workerPoolErrorStats", workerPoolId=POOL)
    entries = {one.name: one.entry for one in methods() if one.client == "WorkerManager"}
    reads = [name for name, entry in entries.items() if entry["method"] == "get" and name not in HOUSEKEEPING]
    ours = ("workerPoolErrorStats", "listWorkers", "getWorker")
    walk.all_of("WorkerManager", *(name for name in reads if name not in ours))
    queue_of_pool = ("demo", "pool")
    walk("Queue.declareWorker", *queue_of_pool, "g", "w", BODY["queue/update-worker-request"])
    walk("WorkerManager.listWorkers", *queue_of_pool)
    walk("WorkerManager.getWorker", *queue_of_pool, "g", "w")
    walk("WorkerManager.removeWorker", *worker)
    walk("WorkerManager.deleteWorkerPool", POOL)


def test_every_method_works_and_answers_as_its_published_schema_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_answers(monkeypatch)  # an answer that is not as published fails here
    with serve(tmp_path, mail="smtp://127.0.0.1:9?from=a@example.com&tls=none") as served:
        walk = Walk(served)
        for part in (auth, hooks, small, objects, queue, index, workers):
            part(walk)
        for one in methods():
            if one.name in HOUSEKEEPING:
                walk(str(one))
    offered = {str(one) for one in methods() if one.key not in NOT_OFFERED}
    assert offered - walk.called == set(), "these methods were not tried"
