"""The API proxy as a client in the sandbox meets it, over a socket of its own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fakes.fake_queue_client import FakeQueueClient, answer
from liftlock.domain.credentials.certificates import Credentials
from liftlock.ports.queue_client import QueueUnavailableError
from liftlock.worker.network import connection, door, record
from liftlock.worker.proxy.server import INSIDE_URL, ApiProxy

CREDENTIALS = Credentials("task-client/x", "token")


class World:
    def __init__(self, tmp_path: Path) -> None:
        self.queue = FakeQueueClient()
        self.hidden: list[str] = []
        self.proxy = ApiProxy(
            self.queue, scopes=("a", "b:*"), credentials=lambda: CREDENTIALS, hide=self._hide
        )
        self.path = tmp_path / "socket"

    def _hide(self, secrets: Iterable[str]) -> None:
        self.hidden += secrets

    async def send(self, data: bytes) -> bytes:
        """Send bytes on a new connection, end them, and return all that comes."""
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        writer.write(data)
        writer.write_eof()
        received = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        await writer.wait_closed()
        return received


@asynccontextmanager
async def serving(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(world.path))
    listener.listen()
    listener.setblocking(False)
    async with world.proxy.serving((listener,)):
        yield world


def get(path: str, *headers: str, version: str = "1.1") -> bytes:
    return "\r\n".join([f"GET {path} HTTP/{version}", "Host: 127.0.0.1:8073", *headers, "", ""]).encode()


async def test_requests_carry_the_tasks_scopes_and_nothing_that_the_task_adds(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        said = await world.send(get("/api/queue/v1/task/a%2Fb", "Authorization: Hawk id=root", "Cookie: x=y"))
    assert said.startswith(b"HTTP/1.1 200 ")
    [(request, body)] = world.queue.forwarded
    assert (request.method, request.target) == ("GET", b"/api/queue/v1/task/a%2Fb")
    assert (request.scopes, request.credentials, request.signed) == (("a", "b:*"), CREDENTIALS, True)
    assert request.headers == ((b"accept-encoding", b"identity"),)
    assert body is None


async def test_a_connection_is_kept_for_further_requests(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        said = await world.send(get("/api/queue/v1/a") + get("/api/queue/v1/b", "Connection: close"))
    assert said.count(b"HTTP/1.1 200 ") == 2
    assert [request.target for request, _ in world.queue.forwarded] == [
        b"/api/queue/v1/a",
        b"/api/queue/v1/b",
    ]


@pytest.mark.parametrize(
    ("head", "body", "length"),
    [
        ("Content-Length: 5", b"hello", 5),
        ("Transfer-Encoding: chunked", b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", None),
    ],
)
async def test_bodies_are_streamed_on(tmp_path: Path, head: str, body: bytes, length: int | None) -> None:
    request = f"POST /api/queue/v1/x HTTP/1.1\r\nHost: x\r\n{head}\r\nExpect: 100-continue\r\n\r\n".encode()
    async with serving(tmp_path) as world:
        said = await world.send(request + body)
    [(forwarded, content)] = world.queue.forwarded
    assert (content, forwarded.length) == (b"hello", length)
    assert b"HTTP/1.1 200 " in said


async def test_what_is_refused_is_recorded_and_ends_the_connection(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        said = await world.send(get("/login") + get("/api/queue/v1/a"))
    assert said.startswith(b"HTTP/1.1 403 ")
    assert said.count(b"HTTP/1.1") == 1
    assert world.queue.forwarded == []
    assert world.proxy.record.refused == [
        ("GET", "/login", "only /api/<service>/v1/…, /references/… and /schemas/… are forwarded")
    ]


async def test_the_record_of_refusals_is_bounded(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        for _ in range(record.MAX_REFUSED + 3):
            await world.send(get("/login"))
    assert (len(world.proxy.record.refused), world.proxy.record.refused_more) == (record.MAX_REFUSED, 3)


@pytest.mark.parametrize(
    "data",
    [
        b"GET /api/queue/v1/a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /api/queue/v1/b HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /api/queue/v1/a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 30\r\n\r\nabcGET /api/queue/v1/b HTTP/1.1\r\n\r\n",
        b"POST /api/queue/v1/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"GET /api/queue/v1/a HTTP/1.1\r\nHost: x\r\nX : y\r\n\r\n",
        b"GET /api/queue/v1/a HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\nAuthori\0zation: x\r\n\r\n",
        b"GET /api/queue/v1/a HTTP/2.0\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /api/queue/v1/a HTTP/1.1\r\nA: " + b"x" * (connection.MAX_HEAD_BYTES + 10) + b"\r\n\r\n",
    ],
)  # fmt: skip
async def test_malformed_and_ambiguous_requests_reach_nobody(tmp_path: Path, data: bytes) -> None:
    async with serving(tmp_path) as world:
        said = await world.send(data)
    assert world.queue.forwarded == []
    assert said == b"" or said.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 403 "))


async def test_an_unfinished_body_reaches_nobody_whole(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        await world.send(b"POST /api/queue/v1/a HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\nabc")
    assert world.queue.forwarded == []


async def test_a_body_over_the_limit_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MAX_BODY_BYTES", 10)
    async with serving(tmp_path) as world:
        await world.send(
            b"POST /api/queue/v1/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n"
        )
    assert world.queue.forwarded == []


async def test_redirects_are_handed_on_with_addresses_that_can_be_reached(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        url = f"{world.queue.root_url}/api/queue/v1/artifact-data/x?ticket=t"
        world.queue.answer = lambda _: answer(303, f'{{"url":"{url}"}}'.encode(), (b"Location", url.encode()))
        said = await world.send(get("/api/queue/v1/task/x/artifacts/y", "Connection: close"))
    inside = f"{INSIDE_URL}/api/queue/v1/artifact-data/x?ticket=t"
    assert said.startswith(b"HTTP/1.1 303 ")
    assert f"location: {inside}\r\n".encode() in said
    assert said.endswith(f'{{"url":"{inside}"}}'.encode())


async def test_the_bytes_of_an_artifact_are_never_changed(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        content = f'{{"url":"{world.queue.root_url}/x"}}'.encode()
        world.queue.answer = lambda _: answer(200, content)
        said = await world.send(get("/api/queue/v1/task/x/runs/0/artifact-data/y", "Connection: close"))
    assert said.endswith(b"\r\n\r\n" + content)


async def test_large_answers_are_streamed(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        content = b"x" * 5_000_000
        world.queue.answer = lambda _: answer(200, content, kind=b"application/octet-stream")
        said = await world.send(get("/api/queue/v1/big", "Connection: close"))
    assert said.endswith(content)


async def test_what_the_secrets_service_tells_is_masked_from_then_on(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        world.queue.answer = lambda _: answer(
            200, b'{"secret": {"key": "a-real-secret"}, "expires": "2026-01-01"}'
        )
        await world.send(get("/api/secrets/v1/secret/project%2Fx", "Connection: close"))
    assert world.hidden == ["a-real-secret"]


async def test_without_a_control_plane_the_task_gets_502(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        world.queue.failures["forward"] = [QueueUnavailableError("nobody is there")]
        said = await world.send(get("/api/queue/v1/a"))
    assert said.startswith(b"HTTP/1.1 502 ")
    assert b"nobody is there" in said


async def test_slow_heads_are_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_S", 0.05)
    async with serving(tmp_path) as world:
        reader, writer = await asyncio.open_unix_connection(str(world.path))
        writer.write(b"GET /api/queue/v1/a HTTP/1.1\r\n")
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()
        await writer.wait_closed()


async def test_connections_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "MAX_CONNECTIONS", 2)
    async with serving(tmp_path) as world:
        held = [await asyncio.open_unix_connection(str(world.path)) for _ in range(3)]
        ended = {asyncio.create_task(reader.read()) for reader, _ in held}
        done, _ = await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED, timeout=20)
        assert len(done) == 1
        assert world.proxy.record.refused[0][2] == "more than 2 connections at a time"
        for _, writer in held:
            writer.close()
            await writer.wait_closed()
        await asyncio.wait(ended, timeout=20)


async def test_older_clients_are_answered_too(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        said = await world.send(get("/api/queue/v1/a", version="1.0"))
    assert said.startswith(b"HTTP/1.1 200 ")
    assert said.endswith(b"{}")
