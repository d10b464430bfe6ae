"""The official client's asynchronous classes, and every type of artifact by its own helpers."""

from __future__ import annotations

import gzip
import io
from typing import Any

import aiohttp
import pytest
import requests
import taskcluster
import taskcluster.aio
from taskcluster.aio import download, upload
from taskcluster.exceptions import TaskclusterRestFailure

from control_plane_server import Served
from task_builders import QUEUE, document

pytestmark = pytest.mark.process

DATA = b"line\n" * 5000


async def claimed(options: dict[str, Any], session: Any) -> tuple[str, dict[str, Any]]:
    """Create a task and claim it; return its id and the claim's credentials."""
    queue = taskcluster.aio.Queue(options, session=session)
    task_id: str = taskcluster.slugId()
    await queue.createTask(task_id, document(taskcluster.fromNow("0 seconds")))
    found = await queue.claimWork(QUEUE, {"workerGroup": "g", "workerId": "w", "tasks": 1})
    return task_id, found["tasks"][0]["credentials"]


async def test_every_type_of_artifact_is_made_and_read_by_the_asynchronous_client(served: Served) -> None:
    async with aiohttp.ClientSession() as session:
        task_id, credentials = await claimed(served.options, session)
        worker = taskcluster.aio.Queue({**served.options, "credentials": credentials}, session=session)
        reader = taskcluster.aio.Queue(served.options, session=session)
        common = {"contentType": "text/plain", "expires": taskcluster.fromNowJSON("1 hour")}

        made = await worker.createArtifact(task_id, 0, "public/object", {"storageType": "object", **common})
        service = taskcluster.aio.Object(
            {**served.options, "credentials": made["credentials"]}, session=session
        )
        await upload.uploadFromFile(
            file=io.BytesIO(DATA),
            projectId=made["projectId"],
            name=made["name"],
            contentType="text/plain",
            contentLength=len(DATA),
            expires=made["expires"],
            objectService=service,
            uploadId=made["uploadId"],
        )
        await worker.finishArtifact(task_id, 0, "public/object", {"uploadId": made["uploadId"]})

        made = await worker.createArtifact(task_id, 0, "public/s3", {"storageType": "s3", **common})
        headers = {"Content-Type": "text/plain", "Content-Encoding": "gzip"}
        async with session.put(made["putUrl"], data=gzip.compress(DATA), headers=headers) as put:
            assert put.status == 200

        link = {"storageType": "link", "artifact": "public/s3", **common}
        await worker.createArtifact(task_id, 0, "public/link", link)
        address = f"{served.root_url}/api/queue/v1/ping"
        elsewhere = {"storageType": "reference", "url": address, **common}
        await worker.createArtifact(task_id, 0, "public/elsewhere", elsewhere)
        sorry = {"storageType": "error", "reason": "file-missing-on-worker", "message": "not there"}
        await worker.createArtifact(task_id, 0, "public/sorry", {**sorry, "expires": common["expires"]})
        await worker.reportCompleted(task_id, 0)

        for name in ("public/object", "public/s3", "public/link"):
            body, kind = await download.downloadArtifactToBuf(taskId=task_id, name=name, queueService=reader)
            assert (bytes(body), kind) == (DATA, "text/plain"), name
        body, _ = await download.downloadArtifactToBuf(
            taskId=task_id, name="public/elsewhere", queueService=reader
        )
        assert b"alive" in bytes(body)
        with pytest.raises(taskcluster.exceptions.TaskclusterArtifactError, match="not there"):
            await download.downloadArtifactToBuf(taskId=task_id, name="public/sorry", queueService=reader)


async def test_temporary_credentials_and_authorized_scopes_limit_the_asynchronous_client(
    served: Served,
) -> None:
    root = served.options["credentials"]
    assert isinstance(root, dict)
    temporary = taskcluster.createTemporaryCredentials(
        root["clientId"],
        root["accessToken"],
        start=taskcluster.fromNow("-1 minute"),
        expiry=taskcluster.fromNow("1 hour"),
        scopes=["secrets:get:a*", "queue:x"],
        name="people/someone",
    )
    async with aiohttp.ClientSession() as session:
        options = {**served.options, "credentials": temporary}
        auth = taskcluster.aio.Auth(options, session=session)
        assert (await auth.currentScopes())["scopes"] == ["assume:anonymous", "queue:x", "secrets:get:a*"]
        narrow = taskcluster.aio.Auth({**options, "authorizedScopes": ["secrets:get:ab"]}, session=session)
        assert (await narrow.currentScopes())["scopes"] == ["assume:anonymous", "secrets:get:ab"]
        secrets = taskcluster.aio.Secrets(
            {**options, "authorizedScopes": ["secrets:get:ab"]}, session=session
        )
        with pytest.raises(TaskclusterRestFailure, match="secrets:get:ac"):
            await secrets.get("ac")
        wide = taskcluster.aio.Auth({**options, "authorizedScopes": ["secrets:get:*"]}, session=session)
        with pytest.raises(taskcluster.exceptions.TaskclusterAuthFailure):
            await wide.currentScopes()


def test_a_signed_url_opens_a_private_artifact_and_nothing_else(served: Served) -> None:
    queue = taskcluster.Queue(served.options)
    task_id = taskcluster.slugId()
    queue.createTask(task_id, document(taskcluster.fromNow("0 seconds")))
    [claim] = queue.claimWork(QUEUE, {"workerGroup": "g", "workerId": "w", "tasks": 1})["tasks"]
    worker = taskcluster.Queue({**served.options, "credentials": claim["credentials"]})
    common = {"contentType": "text/plain", "expires": taskcluster.fromNowJSON("1 hour")}
    for name in ("private/a", "private/b"):
        made = worker.createArtifact(task_id, 0, name, {"storageType": "s3", **common})
        assert requests.put(made["putUrl"], name, headers={"Content-Type": "text/plain"}, timeout=30).ok
    worker.reportCompleted(task_id, 0)
    url = queue.buildSignedUrl("getArtifact", task_id, 0, "private/a")
    assert requests.get(url, timeout=30).text == "private/a"
    assert requests.get(url.replace("private%2Fa", "private%2Fb"), timeout=30).status_code == 401
    assert requests.post(url, timeout=30).status_code in (401, 404)
    bare = url.partition("?")[0]
    assert requests.get(bare, timeout=30).status_code == 403
