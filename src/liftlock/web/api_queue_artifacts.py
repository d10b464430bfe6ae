"""The queue over HTTP: artifacts and live logs.

Source: docs/reference/queue.md#artifacts
"""

from __future__ import annotations

from typing import Any

from liftlock.domain.tasks.artifacts import Artifact, artifact_name, wire_of
from liftlock.errors import RequestArgumentsError
from liftlock.services.artifact_reads import ArtifactReads
from liftlock.services.artifact_uploads import ArtifactUploads
from liftlock.web.api_queue_tasks import run_id_of, task_id_of
from liftlock.web.downloads import stored_bytes
from liftlock.web.paging import QUERY, limit_of, texts_after, token
from liftlock.web.routing import ApiRequest, Handler, Method, Reply, Route

_MAX_OFFSET_DIGITS = 15
_RUN = "/task/<taskId>/runs/<runId>"


def _name_of(request: ApiRequest) -> str:
    return artifact_name(request.params["name"])


def _run_of(request: ApiRequest) -> int | None:
    return run_id_of(request) if "runId" in request.params else None


def _offset_of(request: ApiRequest) -> int:
    text = request.query.get("offset", "0")
    if not text.isascii() or not text.isdigit() or len(text) > _MAX_OFFSET_DIGITS:
        raise RequestArgumentsError(f"offset: expected a number of bytes, got {text[:32]!r}")
    return int(text)


class _Artifacts:
    def __init__(self, uploads: ArtifactUploads, reads: ArtifactReads) -> None:
        self._uploads = uploads
        self._reads = reads

    async def create(self, request: ApiRequest) -> object:
        return await self._uploads.create(
            request.caller,
            task_id_of(request),
            run_id_of(request),
            _name_of(request),
            request.payload,
            request.now,
            root_url=request.root_url,
        )

    async def finish(self, request: ApiRequest) -> object:
        await self._uploads.finish(
            request.caller,
            task_id_of(request),
            run_id_of(request),
            _name_of(request),
            request.payload["uploadId"],
            request.now,
        )
        return None

    async def upload(self, request: ApiRequest) -> object:
        blob = await self._uploads.upload(
            request.params["token"], request.headers, request.stream(), request.now
        )
        return Reply(status=200, headers={"etag": f'"{blob}"'})

    async def get(self, request: ApiRequest) -> object:
        storage, url = await self._reads.address(
            request.caller,
            task_id_of(request),
            _run_of(request),
            _name_of(request),
            request.now,
            root_url=request.root_url,
        )
        return Reply(
            status=303,
            body={"storageType": storage, "url": url},
            headers={"location": url, "x-taskcluster-artifact-storage-type": storage},
        )

    async def content(self, request: ApiRequest) -> object:
        return await self._reads.content(
            request.caller,
            task_id_of(request),
            _run_of(request),
            _name_of(request),
            request.now,
            root_url=request.root_url,
        )

    async def info(self, request: ApiRequest) -> object:
        found = await self._reads.info(
            request.caller, task_id_of(request), _run_of(request), _name_of(request)
        )
        return wire_of(found)

    async def listed(self, request: ApiRequest) -> object:
        limit = limit_of(request.query)
        [after] = texts_after(request.query, 1)
        page: list[Artifact] = await self._reads.listed(
            request.caller, task_id_of(request), _run_of(request), after, limit
        )
        answer: dict[str, Any] = {"artifacts": [wire_of(one) for one in page]}
        return {**answer, "continuationToken": token(page[-1].name)} if len(page) == limit else answer

    async def data(self, request: ApiRequest) -> object:
        artifact, content = await self._reads.open(
            request.caller,
            task_id_of(request),
            run_id_of(request),
            _name_of(request),
            request.query.get("ticket"),
            request.now,
        )
        kind = artifact.declared.content_type
        return stored_bytes(content, kind, artifact.name, request.headers, self._reads.read)

    async def append_log(self, request: ApiRequest) -> object:
        size = await self._uploads.append_log(
            request.caller,
            task_id_of(request),
            run_id_of(request),
            _name_of(request),
            _offset_of(request),
            request.stream(),
            request.now,
        )
        return {"size": size}

    async def read_log(self, request: ApiRequest) -> object:
        key = (task_id_of(request), run_id_of(request), _name_of(request))
        part = await self._reads.log(request.caller, *key, _offset_of(request))
        headers = {
            "content-type": "text/plain; charset=utf-8",
            "content-security-policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
        }
        if request.query.get("follow", "1") == "0":
            ended = "true" if part.ended else "false"
            return Reply(body=part.data, headers={**headers, "x-liftlock-log-ended": ended})
        return Reply(body=self._reads.follow_log(*key, part), headers=headers)


def _route(method: Method, path: str, name: str, handler: Handler, title: str, **more: Any) -> Route:
    return Route(service="queue", method=method, path=path, name=name, handler=handler, title=title, **more)


def routes(uploads: ArtifactUploads, reads: ArtifactReads) -> list[Route]:
    """Return the queue's routes about artifacts."""
    artifacts = _Artifacts(uploads, reads)
    return [*_read_routes(artifacts), *_write_routes(artifacts)]


def _read_routes(artifacts: _Artifacts) -> list[Route]:
    get = {"scopes": "queue:get-artifact:<name>"}
    run = {"scopes": "queue:list-artifacts:<taskId>:<runId>"}
    latest = {"scopes": "queue:list-artifacts:<taskId>"}
    return [
        _route("GET", f"{_RUN}/artifacts/<name*>", "getArtifact", artifacts.get, "Get Artifact from Run", **get, output="queue/get-artifact-response"),
        _route("GET", "/task/<taskId>/artifacts/<name*>", "getLatestArtifact", artifacts.get,
               "Get Artifact from Latest Run", **get, output="queue/get-artifact-response"),
        _route("GET", f"{_RUN}/artifact-content/<name*>", "artifact", artifacts.content,
               "Get Artifact Content From Run", **get, output="queue/artifact-content-response"),
        _route("GET", "/task/<taskId>/artifact-content/<name*>", "latestArtifact", artifacts.content,
               "Get Artifact Content From Latest Run", **get, output="queue/artifact-content-response"),
        _route("GET", f"{_RUN}/artifact-info/<name*>", "artifactInfo", artifacts.info,
               "Get Artifact Information From Run", **run, output="queue/artifact-response"),
        _route("GET", "/task/<taskId>/artifact-info/<name*>", "latestArtifactInfo", artifacts.info,
               "Get Artifact Information From Latest Run", **latest, output="queue/artifact-response"),
        _route("GET", f"{_RUN}/artifacts", "listArtifacts", artifacts.listed, "Get Artifacts from Run",
               query=QUERY, **run, output="queue/list-artifacts-response"),
        _route("GET", "/task/<taskId>/artifacts", "listLatestArtifacts", artifacts.listed,
               "Get Artifacts from Latest Run", query=QUERY, **latest, output="queue/list-artifacts-response"),
        _route("GET", f"{_RUN}/artifact-data/<name*>", "artifactData", artifacts.data, "Get an artifact's bytes",
               query=("ticket",), **get),
        _route("GET", f"{_RUN}/live-log/<name*>", "readLiveLog", artifacts.read_log,
               "Follow the log of a running task", query=("offset", "follow"), **get),
    ]  # fmt: skip


def _write_routes(artifacts: _Artifacts) -> list[Route]:
    make = {"scopes": "queue:create-artifact:<taskId>/<runId>"}
    return [
        _route("POST", f"{_RUN}/artifacts/<name*>", "createArtifact", artifacts.create, "Create Artifact",
               input="queue/post-artifact-request", **make, output="queue/post-artifact-response"),
        _route("PUT", f"{_RUN}/artifacts/<name*>", "finishArtifact", artifacts.finish, "Finish Artifact",
               input="queue/finish-artifact-request", **make),
        _route("PUT", "/upload/<token>", "uploadArtifact", artifacts.upload, "Upload an artifact's bytes",
               public_body="raw"),
        _route("POST", f"{_RUN}/live-log/<name*>", "appendLiveLog", artifacts.append_log,
               "Append to the log of a running task", query=("offset",), public_body="raw", **make, output="queue/append-live-log-response"),
    ]  # fmt: skip
