"""A served control plane seen as root, as clients with few scopes, and as workers: for tests of the queue."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import taskcluster
from taskcluster.exceptions import TaskclusterAuthFailure, TaskclusterRestFailure

from control_plane_server import Served
from liftlock.web import (
    api_index,
    api_notify,
    api_object,
    api_purge_cache,
    api_queue_artifacts,
    api_queue_claims,
    api_queue_tasks,
    api_queue_workers,
    api_secrets,
    api_worker_manager,
)
from liftlock.web.routing import RouteTable
from liftlock.web.validation import validate
from task_builders import QUEUE, document

ANONYMOUS_SCOPES = ("queue:get-artifact:public/*", "queue:status:*")


def soon(**delta: float) -> str:
    """Return the wire form of now and `delta`."""
    made: str = taskcluster.stringDate(datetime.now(UTC) + timedelta(**delta))
    return made


def status_of(call: Any) -> int:
    """Return the HTTP status with which the call was refused."""
    with pytest.raises((TaskclusterRestFailure, TaskclusterAuthFailure)) as caught:
        call()
    code: int = caught.value.status_code
    return code


class Stage:
    """One served control plane; anonymous callers may read public artifacts, as everywhere."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.root = taskcluster.Queue(served.options)
        self._auth = taskcluster.Auth(served.options)
        self._auth.createRole("anonymous", {"description": "", "scopes": list(ANONYMOUS_SCOPES)})
        self._clients = 0

    def queue(self, credentials: dict[str, Any] | None) -> taskcluster.Queue:
        """Return the official client with these credentials, or none."""
        options: dict[str, Any] = {"rootUrl": self.served.root_url, "maxRetries": 0}
        return taskcluster.Queue(options if credentials is None else {**options, "credentials": credentials})

    def as_holder_of(self, *scopes: str) -> taskcluster.Queue:
        """Return the official client of a new client with these scopes."""
        self._clients += 1
        client_id = f"people/p{self._clients}"
        given = {"description": "", "expires": soon(days=1), "scopes": list(scopes)}
        made = self._auth.createClient(client_id, given)
        return self.queue({"clientId": client_id, "accessToken": made["accessToken"]})

    def task(self, **changes: Any) -> str:
        """Return the id of a new task that root made."""
        task_id: str = taskcluster.slugId()
        self.root.createTask(task_id, document(datetime.now(UTC), **changes))
        return task_id

    def claim(self, worker: str = "w", **changes: Any) -> tuple[str, taskcluster.Queue]:
        """Return a new task's id and the client of the run that a worker claimed."""
        task_id = self.task(**changes)
        [claim] = self.root.claimWork(QUEUE, {"workerGroup": "g", "workerId": worker})["tasks"]
        assert claim["status"]["taskId"] == task_id
        return task_id, self.queue(claim["credentials"])

    def declare(self, run: taskcluster.Queue, task_id: str, name: str, **changes: Any) -> dict[str, Any]:
        """Return createArtifact's answer for run 0."""
        given = {"storageType": "s3", "contentType": "text/plain", "expires": soon(days=1), **changes}
        made: dict[str, Any] = run.createArtifact(task_id, 0, name, given)
        return made

    def put(self, made: dict[str, Any], data: bytes, **headers: str) -> requests.Response:
        """Return the answer to an upload."""
        sent = {"Content-Type": made.get("contentType", "text/plain")}
        sent.update({name.replace("_", "-"): value for name, value in headers.items()})
        return requests.put(made["putUrl"], data=data, headers=sent, timeout=30)

    def store(self, run: taskcluster.Queue, task_id: str, name: str, data: bytes, **changes: Any) -> None:
        """Make an artifact of run 0."""
        answer = self.put(self.declare(run, task_id, name, **changes), data)
        assert answer.status_code == 200, answer.text


def published_routes() -> RouteTable:
    """Return the routes of the queue and the services around it, for their schemas alone: nothing stands behind them."""
    nobody: Any = None
    return RouteTable(
        [
            *api_queue_tasks.routes(nobody, nobody, nobody, nobody),
            *api_queue_claims.routes(nobody),
            *api_queue_artifacts.routes(nobody, nobody),
            *api_queue_workers.routes(nobody),
            *api_object.routes(nobody),
            *api_index.routes(nobody, nobody),
            *api_secrets.routes(nobody),
            *api_purge_cache.routes(nobody),
            *api_worker_manager.routes(nobody, nobody),
            *api_notify.routes(nobody),
        ]
    )


def check_answers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let every JSON answer that a client gets be checked against the schema that is published for it.

    Returns the names of the methods whose answers were checked, growing.
    """
    table, checked = published_routes(), list[str]()
    send = requests.Session.request

    def request(
        session: requests.Session, method: str, url: str, *args: Any, **options: Any
    ) -> requests.Response:
        answer = send(session, method, url, *args, **options)
        match = re.match(r"/api/([a-z-]+)/v1(/.*)", urlsplit(url).path)
        found = table.match(match[1], method.upper(), match[2]) if match else None
        if found and answer.status_code == 200 and "json" in answer.headers.get("content-type", ""):
            route = found[0]
            checked.append(route.name)
            if route.output is not None:
                validate(route.output, answer.json())
            else:
                assert answer.json() == {}, f"{route.name} answers something and publishes no schema"
        return answer

    monkeypatch.setattr(requests.Session, "request", request)
    return checked
