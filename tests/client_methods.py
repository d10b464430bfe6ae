"""Every method of the official client's classes: what a call needs, and what liftlock answers differently or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import taskcluster

from liftlock.values.instants import format_instant
from task_builders import QUEUE, document, task_id

CLASSES = ("Auth", "Hooks", "Index", "Notify", "Object", "PurgeCache", "Queue", "Secrets", "WorkerManager")

_CREDENTIALS = "liftlock hands out no other system's credentials"
NOT_OFFERED: Mapping[tuple[str, str], str] = {
    ("auth", "awsS3Credentials"): _CREDENTIALS,
    ("auth", "gcpCredentials"): _CREDENTIALS,
    ("auth", "githubRepoToken"): _CREDENTIALS,
    ("auth", "sentryDSN"): _CREDENTIALS,
    ("auth", "websocktunnelToken"): "live logs are read from the queue itself; there is no tunnel",
}

_STATIC = "pools are static: workers are started elsewhere, and there are no launch configurations"
DIFFERS: Mapping[tuple[str, str], str] = {
    ("notify", "pulse"): "checks the scope, then answers 400: there is no message broker",
    ("notify", "matrix"): "checks the scope, then answers 400: there is no Matrix account",
    ("notify", "slack"): "checks the scope, then answers 400: there is no Slack account",
    ("worker-manager", "createWorkerPool"): _STATIC,
    ("worker-manager", "updateWorkerPool"): _STATIC,
    ("worker-manager", "listProviders"): "one provider, `static`",
    ("worker-manager", "listWorkerPoolLaunchConfigs"): "always empty: pools are static",
    ("worker-manager", "workerPoolStats"): "the whole pool with its counts",
    ("worker-manager", "listWorkerPoolsStats"): "the whole pools with their counts",
    ("worker-manager", "workerPoolErrorStats"): "counts the latest 1000 errors; none by launch configuration",
}

OPEN: Mapping[tuple[str, str], str] = {
    ("auth", "currentScopes"): "tells callers about themselves",
    ("auth", "authenticateHawk"): "the request in the body is what is checked",
    ("auth", "testAuthenticate"): "is a test of credentials",
    ("auth", "testAuthenticateGet"): "is a test of credentials",
    ("hooks", "triggerHookWithToken"): "the token in the path is what is checked",
    ("worker-manager", "registerWorker"): "the worker's secret in the body is what is checked",
}
"""Methods that need no scope, and why; the housekeeping of every service needs none either."""
HOUSEKEEPING = ("ping", "version", "heartbeat", "lbheartbeat")


@dataclass(frozen=True, slots=True)
class Method:
    """One method of a client class, as the official client has it."""

    client: str
    service: str
    name: str
    entry: Mapping[str, Any]

    @property
    def key(self) -> tuple[str, str]:
        """(service, name), as in the tables here."""
        return self.service, self.name

    def __str__(self) -> str:
        return f"{self.client}.{self.name}"


def methods() -> list[Method]:
    """Return every method of every class, sorted."""
    found = []
    for client in CLASSES:
        made = getattr(taskcluster, client)
        found += [
            Method(client, made.serviceName, name, entry) for name, entry in sorted(made.funcinfo.items())
        ]
    return found


TASK = task_id(7)
POOL = "demo/pool"
SECRET = "s" * 44
ARGUMENTS: Mapping[str, str] = {
    "clientId": "people/someone",
    "roleId": "some-role",
    "entityType": "client",
    "entityId": "people/someone",
    "hookGroupId": "group",
    "hookId": "hook",
    "token": "0123456789012345678901",
    "indexPath": "demo.one",
    "namespace": "demo.one",
    "taskId": TASK,
    "taskGroupId": TASK,
    "runId": "0",
    "name": "private/x",
    "taskQueueId": QUEUE,
    "provisionerId": "local",
    "workerType": "unprivileged",
    "workerGroup": "g",
    "workerId": "w",
    "workerPoolId": POOL,
    "level": "read",
    "bucket": "b",
    "prefix": "p",
    "projectId": "p",
    "serviceAccount": "a",
    "appName": "app",
    "owner": "owner",
    "project": "p",
    "wstAudience": "a",
    "wstClient": "c",
    "webhookId": "team/hook",
}
FACTS: Mapping[str, Any] = {
    "scopes": ["some:scope"],
    "scopesAdded": ["some:scope"],
    "routes": ["index.demo.one"],
    "schedulerId": "demo-level-1",
    "projectId": "none",
    "priorities": ["lowest", "very-low", "low", "medium", "high", "very-high", "highest"],
    "taskIds": [TASK],
    "taskQueueIds": [QUEUE],
    "indexes": ["demo.one"],
    "properties": ["expires"],
    "raises": True,
    "mayRaise": True,
    "mayLower": True,
    "providerId": "static",
    "cacheName": "cache",
    "address": "o@example.com",
    "routingKey": "key",
    "roomId": "!room:example.com",
    "channelId": "channel",
}
"""What the placeholders of scopes stand for that are no arguments, in the world of the test."""


def facts(method: Method) -> dict[str, Any]:
    """Return placeholder -> value for the scopes that a call of `method` needs."""
    changed = {"priorities": ["high", "very-high", "highest"]} if method.name == "changeTaskPriority" else {}
    return {**ARGUMENTS, **FACTS, **changed}


def soon(**delta: float) -> str:
    """Return the wire form of now and `delta`."""
    return format_instant(datetime.now(UTC) + timedelta(**delta))


def bodies() -> dict[str, Any]:
    """Return a good body for every input of the API, by the schema's name."""
    day = soon(days=1)
    address = {"notificationType": "email", "notificationAddress": "o@example.com"}
    pool = {
        "providerId": "static",
        "description": "",
        "owner": "o@example.com",
        "emailOnError": False,
        "config": {},
    }
    worker = {"workerGroup": "g", "workerId": "w"}
    return {
        "auth/create-client-request": {"description": "", "expires": day, "scopes": ["some:scope"]},
        "auth/create-role-request": {"description": "", "scopes": ["some:scope"]},
        "auth/scopeset": {"scopes": ["some:scope"]},
        "events/create-webhook-request": {
            "url": "https://example.com/events",
            "description": "",
            "bindings": [
                {"exchange": "exchange/taskcluster-queue/v1/task-completed", "routingKeyPattern": "#"}
            ],
        },
        "auth/authenticate-hawk-request": {"method": "get", "resource": "/", "host": "h", "port": 80},
        "auth/test-authenticate-request": {"clientScopes": [], "requiredScopes": []},
        "hooks/create-hook-request": {
            "metadata": {"name": "n", "description": "d", "owner": "o@example.com"},
            "task": {"$merge": [document()]},
        },
        "hooks/trigger-hook": {},
        "index/insert-task-request": {"taskId": TASK, "rank": 1, "data": {}, "expires": day},
        "index/list-tasks-at-index": {"indexes": ["demo.one"]},
        "notify/email-request": {"address": "o@example.com", "subject": "s", "content": "c"},
        "notify/pulse-request": {"routingKey": "key", "message": {}},
        "notify/matrix-request": {"roomId": "!room:example.com", "body": "b"},
        "notify/slack-request": {"channelId": "channel", "text": "t"},
        "notify/notification-address": address,
        "object/create-upload-request": {
            "projectId": "none",
            "uploadId": task_id(9),
            "expires": day,
            "proposedUploadMethods": {},
        },
        "object/finish-upload-request": {"projectId": "none", "uploadId": task_id(9)},
        "object/download-object-request": {"acceptDownloadMethods": {"simple": True}},
        "purge-cache/purge-cache-request": {"cacheName": "cache"},
        "queue/create-task-request": document(
            datetime.now(UTC), scopes=["some:scope"], routes=["index.demo.one"]
        ),
        "queue/tasks-request": {"taskIds": [TASK]},
        "queue/change-task-priority-request": {"newPriority": "high"},
        "queue/claim-work-request": worker,
        "queue/claim-task-request": worker,
        "queue/task-exception-request": {"reason": "worker-shutdown"},
        "queue/post-artifact-request": {"storageType": "s3", "contentType": "text/plain", "expires": day},
        "queue/finish-artifact-request": {"uploadId": task_id(9)},
        "queue/task-queue-counts-request": {"taskQueueIds": [QUEUE]},
        "queue/quarantine-worker-request": {"quarantineUntil": day},
        "queue/update-worker-request": {"expires": day},
        "secrets/secret": {"secret": {"a": 1}, "expires": day},
        "worker-manager/create-worker-pool-request": pool,
        "worker-manager/update-worker-pool-request": pool,
        "worker-manager/create-worker-request": {
            "expires": day,
            "capacity": 1,
            "providerInfo": {"staticSecret": SECRET},
        },
        "worker-manager/report-worker-error-request": {
            **worker,
            "kind": "k",
            "title": "t",
            "description": "d",
            "extra": {},
        },
        "worker-manager/register-worker-request": {
            **worker,
            "workerPoolId": POOL,
            "providerId": "static",
            "workerIdentityProof": {"staticSecret": SECRET},
        },
        "worker-manager/reregister-worker-request": {**worker, "workerPoolId": POOL, "secret": SECRET},
    }


def filled(scopes: Any, values: Mapping[str, Any]) -> Any:
    """Return a route's scopes with `values` for the placeholders, lists flat: what a refusal must name."""
    match scopes:
        case str():
            for name, value in values.items():
                scopes = scopes.replace(f"<{name}>", value) if isinstance(value, str) else scopes
            return scopes
        case {"for": name, "in": many, "each": each}:
            return {"AllOf": [filled(each, {**values, name: value}) for value in values[many]]}
        case {"if": name, "then": then, **rest}:
            chosen = then if values[name] else rest.get("else", {"AllOf": []})
            return filled(chosen, values)
        case {"AllOf": parts}:
            return _joined("AllOf", [filled(part, values) for part in parts])
        case {"AnyOf": parts}:
            return _joined(
                "AnyOf", [filled(part, values) for part in parts], spread=any("for" in p for p in parts)
            )
    raise AssertionError(f"no scope expression: {scopes}")


def _joined(kind: str, parts: list[Any], *, spread: bool = False) -> Any:
    flat: list[Any] = []
    for part in parts:
        if isinstance(part, dict) and (kind in part or (spread and "AllOf" in part)):
            flat += next(iter(part.values()))
        else:
            flat.append(part)
    return flat[0] if len(flat) == 1 else {kind: flat}


def plain(expression: Any) -> Any:
    """Return an expression in a form in which equal ones are equal: flat, in order, a list of one as that one."""
    if isinstance(expression, str):
        return expression
    ((kind, parts),) = expression.items()
    joined = _joined(kind, [plain(part) for part in parts])
    if isinstance(joined, str) or kind not in joined:
        return joined
    return {kind: sorted(joined[kind], key=repr)}
