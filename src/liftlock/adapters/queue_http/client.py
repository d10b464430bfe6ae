"""QueueClient over HTTP. Source: docs/reference/queue.md, docs/reference/pushes.md"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Literal

import httpx2

from liftlock.adapters.queue_http.signed_http import SignedHttp, read_bounded, server_ahead_s
from liftlock.domain.credentials.certificates import Credentials
from liftlock.errors import MalformedPayloadError, NotFoundError
from liftlock.ports.queue_client import (
    Claim,
    ExceptionReason,
    ForwardAnswer,
    ForwardRequest,
    Lease,
    Missing,
    QueueUnavailableError,
    RunKey,
    Typed,
    Upload,
)
from liftlock.values.instants import format_instant, parse_instant
from liftlock.values.json import decode

LONG_POLL_TIMEOUT_S = 60.0
STREAM_TIMEOUT_S = 60.0
"""Without a byte for so long a stream has failed."""
FORWARD_TIMEOUT_S = 120.0
UPLOAD_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)
_MAX_REDIRECTS = 5
_SEND_BYTES = 1 << 18


class HttpQueueClient:
    """Claims as the worker's own client; everything else with the credentials of a run."""

    def __init__(self, http: SignedHttp, worker: Credentials) -> None:
        self._http = http
        self._worker = worker

    @property
    def root_url(self) -> str:
        """Return the control plane's address without a slash at the end."""
        return self._http.root_url

    async def claim_work(
        self, queue_id: str, worker_group: str, worker_id: str, count: int
    ) -> tuple[Claim, ...]:
        """Return claimed runs; see the port."""
        wanted = {"workerGroup": worker_group, "workerId": worker_id, "tasks": count}
        url = self._http.url("queue", "claim-work", queue_id)
        answer, headers = await self._http.call(
            self._worker, "POST", url, wanted, timeout_s=LONG_POLL_TIMEOUT_S
        )
        return tuple(
            Claim(RunKey(one["status"]["taskId"], one["runId"]), self._lease(one, headers), one["task"])
            for one in answer["tasks"]
        )

    async def give_back(
        self, queue_id: str, worker_group: str, worker_id: str, keep: Collection[RunKey]
    ) -> tuple[RunKey, ...]:
        """End what this worker holds and does not keep; see the port."""
        kept = [{"taskId": run.task_id, "runId": run.run_id} for run in keep]
        said = {"workerGroup": worker_group, "workerId": worker_id, "keep": kept}
        url = self._http.url("queue", "give-back-work", queue_id)
        answer, _ = await self._http.call(self._worker, "POST", url, said)
        return tuple(RunKey(one["taskId"], one["runId"]) for one in answer["runs"])

    async def purge_requests(self, pool_id: str) -> dict[str, datetime]:
        """Return what is to be purged; see the port."""
        url = self._http.url("purge-cache", "purge-cache", pool_id)
        answer, _ = await self._http.call(self._worker, "GET", url)
        found: dict[str, datetime] = {}
        for one in answer["requests"]:
            before = parse_instant(one["before"], what="before")
            found[one["cacheName"]] = max(before, found.get(one["cacheName"], before))
        return found

    async def reclaim(self, run: RunKey, credentials: Credentials) -> Lease:
        """Return the renewed lease; see the port."""
        answer, headers = await self._http.call(credentials, "POST", self._run_url(run, "reclaim"))
        return self._lease(answer, headers)

    def _lease(self, said: dict[str, Any], headers: httpx2.Headers) -> Lease:
        until = parse_instant(said["takenUntil"], what="takenUntil")
        wire = said["credentials"]
        ahead = timedelta(seconds=server_ahead_s(headers, self._http.clock))
        remaining = until - (self._http.clock.now() + ahead)
        credentials = Credentials(wire["clientId"], wire["accessToken"], wire.get("certificate"))
        return Lease(credentials, until, remaining)

    async def report(
        self, run: RunKey, credentials: Credentials, outcome: Literal["completed", "failed"] | ExceptionReason
    ) -> None:
        """Resolve the run; see the port."""
        if outcome in ("completed", "failed"):
            await self._http.call(credentials, "POST", self._run_url(run, outcome))
        else:
            await self._http.call(credentials, "POST", self._run_url(run, "exception"), {"reason": outcome})

    async def upload(self, run: RunKey, credentials: Credentials, upload: Upload) -> None:
        """Create the artifact and send its bytes; see the port."""
        declared = {
            "storageType": "s3",
            "contentType": upload.content_type,
            "expires": format_instant(upload.expires),
        }

        async def once() -> None:
            answer = await self._create(run, credentials, upload.name, declared)
            await self._put(answer["putUrl"], upload)

        await _repeated(once)

    async def _put(self, url: str, upload: Upload) -> None:
        if not self._http.is_ours(url):
            raise NotFoundError(
                f"artifact {upload.name!r}: the upload address is not one that this worker may use"
            )
        headers = {"content-type": upload.content_type, "content-length": str(upload.size)}
        if upload.gzip:
            headers["content-encoding"] = "gzip"
        async with self._http.stream(
            "PUT", url, headers=headers, content=_content(upload), timeout_s=STREAM_TIMEOUT_S
        ) as answer:
            await read_bounded(answer)

    async def link(
        self,
        run: RunKey,
        credentials: Credentials,
        name: str,
        target: str,
        content_type: str,
        expires: datetime,
    ) -> None:
        """Create a link; see the port."""
        declared = {
            "storageType": "link",
            "artifact": target,
            "contentType": content_type,
            "expires": format_instant(expires),
        }
        await _repeated(lambda: self._create(run, credentials, name, declared))

    async def error_artifact(
        self,
        run: RunKey,
        credentials: Credentials,
        name: str,
        reason: Missing,
        message: str,
        expires: datetime,
    ) -> None:
        """Create an artifact that says why there is none; see the port."""
        declared = {
            "storageType": "error",
            "reason": reason,
            "message": message[:4096],
            "expires": format_instant(expires),
        }
        await _repeated(lambda: self._create(run, credentials, name, declared))

    async def _create(
        self, run: RunKey, credentials: Credentials, name: str, declared: dict[str, Any]
    ) -> Any:
        answer, _ = await self._http.call(
            credentials, "POST", self._run_url(run, "artifacts", name), declared
        )
        return answer

    def _run_url(self, run: RunKey, *parts: str) -> str:
        return self._http.url("queue", "task", run.task_id, "runs", str(run.run_id), *parts)

    async def append_log(
        self, run: RunKey, credentials: Credentials, name: str, offset: int, data: bytes
    ) -> int:
        """Append to the live log; see the port."""
        url = f"{self._run_url(run, 'live-log', name)}?offset={offset}"
        signed = self._http.sign(credentials, "POST", url)
        headers = {"authorization": signed, "content-type": "application/octet-stream"}
        async with self._http.stream("POST", url, headers=headers, content=data, timeout_s=30) as answer:
            said = await read_bounded(answer)
        try:
            return int(decode(said, what="answer")["size"])
        except (MalformedPayloadError, KeyError, TypeError, ValueError) as error:
            raise QueueUnavailableError(f"POST {url}: the answer is none to an append") from error

    async def shell_input(self, run: RunKey, credentials: Credentials, after: int) -> tuple[Typed, ...]:
        """Return what was typed; see the port."""
        url = f"{self._run_url(run, 'shell-input')}?after={after}"
        answer, _ = await self._http.call(credentials, "GET", url, timeout_s=LONG_POLL_TIMEOUT_S)
        try:
            return tuple(_typed(piece) for piece in answer["input"])
        except (KeyError, TypeError, ValueError) as error:
            raise QueueUnavailableError(f"GET {url}: the answer is no input") from error

    async def project_of(self, credentials: Credentials, scopes: Sequence[str], url: str) -> str:
        """Return the project of an identity; see the port."""
        answer, _ = await self._http.call(
            credentials, "GET", self._http.url("pushes", "projects"), scopes=scopes
        )
        for one in answer["projects"]:
            if one["identityUrl"] == url:
                return str(one["project"])
        raise NotFoundError(f"no project has the identity {url}")

    @asynccontextmanager
    async def source(
        self, credentials: Credentials, scopes: Sequence[str], project: str, revision: str
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open the git bundle of a recorded revision; see the port."""
        url = self._http.url("pushes", "project", project, "revision", revision, "source")
        async with self._open(credentials, scopes, url) as chunks:
            yield chunks

    @asynccontextmanager
    async def artifact(
        self, credentials: Credentials, scopes: Sequence[str], task_id: str, name: str
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open an artifact of a task's last run; see the port."""
        async with self._open(
            credentials, scopes, self._http.url("queue", "task", task_id, "artifacts", name)
        ) as chunks:
            yield chunks

    @asynccontextmanager
    async def _open(
        self, credentials: Credentials, scopes: Sequence[str], url: str
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        headers = {"authorization": self._http.sign(credentials, "GET", url, scopes=scopes)}
        for _ in range(_MAX_REDIRECTS):
            async with self._http.stream(
                "GET", url, headers=headers, content=None, timeout_s=STREAM_TIMEOUT_S
            ) as answer:
                if answer.status_code not in (301, 302, 303, 307, 308):
                    yield _decoded(answer)
                    return
                url = str(answer.url.join(answer.headers.get("location", "")))
            if not self._http.is_ours(url):
                raise NotFoundError(
                    "the content lies outside of the control plane's own storage, which is not fetched"
                )
            headers = {}
        raise NotFoundError(f"{url.partition('?')[0]}: more than {_MAX_REDIRECTS} redirects in a row")

    @asynccontextmanager
    async def forward(
        self, request: ForwardRequest, body: AsyncIterator[bytes] | None
    ) -> AsyncIterator[ForwardAnswer]:
        """Send a task's request; see the port."""
        url = self._http.root_url + request.target.decode("ascii")
        headers = list(request.headers)
        if request.signed:
            signed = self._http.sign(request.credentials, request.method, url, scopes=request.scopes)
            headers.append((b"authorization", signed.encode("ascii")))
        if body is not None and request.length is not None:
            headers.append((b"content-length", str(request.length).encode()))
        async with self._http.stream(
            request.method,
            self._http.root_url,
            headers=headers,
            content=body,
            timeout_s=FORWARD_TIMEOUT_S,
            target=request.target,
            check=False,
        ) as answer:
            yield ForwardAnswer(answer.status_code, tuple(answer.headers.raw), _raw(answer))


def _typed(piece: dict[str, Any]) -> Typed:
    size = piece.get("size")
    return Typed(
        int(piece["seq"]),
        str(piece["actor"]),
        base64.b64decode(piece["data"]),
        None if size is None else (int(size["columns"]), int(size["rows"])),
    )


async def _content(upload: Upload) -> AsyncIterator[bytes]:
    """Yield the declared number of bytes; a file that became shorter ends the request with an error of the server's."""
    offset = 0
    while offset < upload.size:
        chunk = os.pread(upload.fd, min(_SEND_BYTES, upload.size - offset), offset)
        if not chunk:
            raise QueueUnavailableError(
                f"artifact {upload.name!r}: its file became shorter while it was sent"
            )
        offset += len(chunk)
        yield chunk


async def _decoded(answer: httpx2.Response) -> AsyncIterator[bytes]:
    async for chunk in answer.aiter_bytes(_SEND_BYTES):
        yield chunk


async def _raw(answer: httpx2.Response) -> AsyncIterator[bytes]:
    async for chunk in answer.aiter_raw():
        yield chunk


async def _repeated(attempt: Callable[[], Awaitable[object]]) -> None:
    """Run `attempt` until it answers; what is idempotent may be repeated when an answer was lost."""
    for pause in UPLOAD_PAUSES_S:
        try:
            await attempt()
        except QueueUnavailableError:
            await asyncio.sleep(pause)
        else:
            return
    await attempt()
