"""The queue over HTTP: what is sent, what answers mean, where a worker lets itself be sent."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx2
import pytest

from liftlock import errors
from liftlock.adapters.queue_http.client import HttpQueueClient
from liftlock.adapters.queue_http.signed_http import SignedHttp
from liftlock.adapters.system.entropy import SystemEntropy
from liftlock.domain.credentials.certificates import Credentials
from liftlock.ports.queue_client import ForwardRequest, QueueUnavailableError, RunKey, Upload

NOW = datetime(2026, 3, 1, 12, 0, 0, 500_000, tzinfo=UTC)
ROOT = "http://control.example:8080"
WORKER, RUN_CREDENTIALS = Credentials("worker", "token"), Credentials("task-client/x", "other")
RUN = RunKey("Qt3GMzT0Qq2rIcp0oYl9sA", 2)


class FixedClock:
    def now(self) -> datetime:
        return NOW


class Server:
    """Answers by `answer`, keeps what it was asked."""

    def __init__(self, answer: Callable[[httpx2.Request], httpx2.Response]) -> None:
        self.answer = answer
        self.requests: list[httpx2.Request] = []
        self.bodies: list[bytes] = []
        transport = httpx2.MockTransport(self._handle)
        http = SignedHttp(ROOT, FixedClock(), SystemEntropy(), transport=transport)
        self.client = HttpQueueClient(http, WORKER)

    async def _handle(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        self.bodies.append(await request.aread())
        return self.answer(request)


def claim(remaining: timedelta, date: datetime | None = None) -> httpx2.Response:
    until = NOW + remaining
    one = {
        "status": {"taskId": RUN.task_id},
        "runId": RUN.run_id,
        "takenUntil": until.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "credentials": {"clientId": "c", "accessToken": "a", "certificate": "{}"},
        "task": {"payload": {}},
    }
    headers = {} if date is None else {"date": format_datetime(date, usegmt=True)}
    return httpx2.Response(200, json={"tasks": [one], **one}, headers=headers)


def failure(status: int, code: str = "X") -> httpx2.Response:
    return httpx2.Response(status, json={"code": code, "message": "said"})


async def test_a_claim_is_asked_for_as_the_worker_and_answered_with_its_lease() -> None:
    server = Server(lambda _: claim(timedelta(minutes=20)))
    [got] = await server.client.claim_work("local/unprivileged", "local", "w", 1)
    assert (got.run, got.lease.remaining, got.lease.credentials.client_id) == (
        RUN,
        timedelta(minutes=20),
        "c",
    )
    assert str(server.requests[0].url) == f"{ROOT}/api/queue/v1/claim-work/local%2Funprivileged"
    assert json.loads(server.bodies[0]) == {"workerGroup": "local", "workerId": "w", "tasks": 1}
    assert server.requests[0].headers["authorization"].startswith('Hawk id="worker", ')


@pytest.mark.parametrize("ahead_s", [-1.0, 0.0, 1.0])
async def test_clocks_that_agree_count_as_the_same(ahead_s: float) -> None:
    server = Server(lambda _: claim(timedelta(minutes=20), NOW + timedelta(seconds=ahead_s)))
    assert (await server.client.reclaim(RUN, RUN_CREDENTIALS)).remaining == timedelta(minutes=20)


@pytest.mark.parametrize("ahead_s", [-300, 300])
async def test_a_lease_is_counted_by_the_servers_clock_never_longer_than_it_holds(ahead_s: int) -> None:
    """`Date` is cut to seconds: the server may be up to a second further than it says."""
    server = Server(lambda _: claim(timedelta(minutes=20), NOW + timedelta(seconds=ahead_s)))
    remaining = (await server.client.reclaim(RUN, RUN_CREDENTIALS)).remaining
    exact = timedelta(minutes=20) - timedelta(seconds=ahead_s)
    assert exact - timedelta(seconds=1) <= remaining <= exact


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (failure(409, "RequestConflict"), errors.ConflictError),
        (failure(404, "ResourceNotFound"), errors.NotFoundError),
        (failure(403, "InsufficientScopes"), errors.RefusedError),
        (failure(401, "AuthenticationFailed"), errors.AuthenticationFailedError),
        (failure(413, "InputTooLarge"), errors.TooLargeError),
        (failure(400, "Unheard"), errors.InputInvalidError),
        (failure(500, "InternalServerError"), QueueUnavailableError),
        (failure(503), QueueUnavailableError),
        (failure(429), QueueUnavailableError),
        (httpx2.Response(502, text="<html>"), QueueUnavailableError),
        (httpx2.Response(409, text="<html>"), errors.ConflictError),
        (httpx2.Response(200, text="<html>"), QueueUnavailableError),
    ],
)
async def test_what_an_answer_means(answer: httpx2.Response, error: type[Exception]) -> None:
    with pytest.raises(error):
        await Server(lambda _: answer).client.reclaim(RUN, RUN_CREDENTIALS)


async def test_no_answer_is_unavailable() -> None:
    def gone(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused", request=request)

    with pytest.raises(QueueUnavailableError):
        await Server(gone).client.report(RUN, RUN_CREDENTIALS, "completed")


@pytest.mark.parametrize(
    ("outcome", "path", "body"),
    [
        ("completed", "completed", b""),
        ("failed", "failed", b""),
        ("worker-shutdown", "exception", b'{"reason":"worker-shutdown"}'),
    ],
)
async def test_reports_are_signed_by_the_run(outcome: Any, path: str, body: bytes) -> None:
    server = Server(lambda _: httpx2.Response(200, json={}))
    await server.client.report(RUN, RUN_CREDENTIALS, outcome)
    assert server.requests[0].url.path == f"/api/queue/v1/task/{RUN.task_id}/runs/2/{path}"
    assert server.bodies == [body]
    assert 'id="task-client/x"' in server.requests[0].headers["authorization"]


def memory(content: bytes) -> int:
    descriptor = os.memfd_create("x")
    os.write(descriptor, content)
    return descriptor


async def test_an_upload_goes_where_the_control_plane_says_with_its_length_and_encoding() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json={"putUrl": f"{ROOT}/api/queue/v1/upload/t"})

    server, descriptor = Server(answer), memory(b"hello")
    upload = Upload("public/a b", "text/plain", NOW, descriptor, 5, gzip=True)
    await server.client.upload(RUN, RUN_CREDENTIALS, upload)
    os.close(descriptor)
    created, put = server.requests
    assert created.url.raw_path.endswith(b"/artifacts/public%2Fa%20b")
    assert (put.method, put.headers["content-length"], put.headers["content-encoding"]) == (
        "PUT",
        "5",
        "gzip",
    )
    assert "authorization" not in put.headers
    assert server.bodies[1] == b"hello"


@pytest.mark.parametrize("url", ["http://evil.example/x", f"{ROOT}.evil.example/x", "http://control.example/x", "http://u:p@control.example:8080/x", "file:///etc/passwd"])  # fmt: skip
async def test_nothing_is_uploaded_elsewhere(url: str) -> None:
    server, descriptor = Server(lambda _: httpx2.Response(200, json={"putUrl": url})), memory(b"hello")
    with pytest.raises(errors.NotFoundError):
        await server.client.upload(RUN, RUN_CREDENTIALS, Upload("x", "text/plain", NOW, descriptor, 5))
    os.close(descriptor)
    assert len(server.requests) == 1


async def read(server: Server) -> bytes:
    async with server.client.artifact(RUN_CREDENTIALS, ("a",), RUN.task_id, "public/x") as chunks:
        return b"".join([chunk async for chunk in chunks])


async def test_an_artifact_is_fetched_with_the_tasks_scopes_and_redirects_without_credentials() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if "ticket" in request.url.params:
            return httpx2.Response(200, content=b"content")
        return httpx2.Response(303, headers={"location": f"{ROOT}/api/data?ticket=t"}, json={})

    server = Server(answer)
    assert await read(server) == b"content"
    signed, followed = server.requests
    assert "authorization" not in followed.headers
    ext = signed.headers["authorization"].split('ext="')[1].split('"')[0]
    assert json.loads(base64.urlsafe_b64decode(ext)) == {"authorizedScopes": ["a"]}


@pytest.mark.parametrize(
    "where", ["http://169.254.169.254/latest", "http://127.0.0.1:22/", "https://control.example:8080/x"]
)
async def test_an_artifact_that_lies_elsewhere_is_not_fetched(where: str) -> None:
    server = Server(lambda _: httpx2.Response(303, headers={"location": where}, json={}))
    with pytest.raises(errors.NotFoundError):
        await read(server)
    assert len(server.requests) == 1


async def test_redirects_in_a_circle_end() -> None:
    server = Server(lambda _: httpx2.Response(302, headers={"location": f"{ROOT}/again"}))
    with pytest.raises(errors.NotFoundError, match="redirects in a row"):
        await read(server)


async def test_a_forwarded_request_keeps_its_bytes_and_follows_nothing() -> None:
    content = httpx2.ByteStream(b"body")
    server = Server(lambda _: httpx2.Response(303, headers={"location": f"{ROOT}/x"}, stream=content))
    target = b"/api/queue/v1/task/a%2fb%20/%41?q=%2F&&x"
    request = ForwardRequest("POST", target, ((b"content-type", b"x/y"),), ("s",), RUN_CREDENTIALS, length=5)

    async def body() -> AsyncIterator[bytes]:
        yield b"hello"

    async with server.client.forward(request, body()) as answer:
        assert (answer.status, b"".join([chunk async for chunk in answer.body])) == (303, b"body")
    sent = server.requests[0]
    assert sent.extensions["target"] == target
    assert (sent.headers["content-length"], sent.headers["host"]) == ("5", "control.example:8080")
    assert "transfer-encoding" not in sent.headers
    assert server.bodies == [b"hello"]
