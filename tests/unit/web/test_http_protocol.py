"""The server's side of a connection, without a network: what arrives in pieces, late, or ahead of its turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from liftlock.processes.serving import server
from liftlock.web.direct import MAX_DIRECT_BYTES
from liftlock.web.exchange import AsgiExchange, Exchange
from liftlock.web.http_protocol import DeadlineProtocol
from liftlock.web.routing import Reply


class _Pipe(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False
        self.reading = True

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


Answer = Callable[[Exchange], Any]


def _connected(answer: Answer) -> tuple[DeadlineProtocol, _Pipe, list[str]]:
    """Return a connection whose requests `answer` gets, and the kinds of exchange that it got them as."""
    kinds: list[str] = []

    async def serve(exchange: Exchange) -> None:
        kinds.append(type(exchange).__name__)
        await exchange.send_reply(await answer(exchange))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await serve(AsgiExchange(scope, receive, send))

    app.api = SimpleNamespace(serve=serve)  # type: ignore[attr-defined] # as `web.app.App` has one
    made = server(app)
    protocol, pipe = DeadlineProtocol(made.config, made.server_state, {}), _Pipe()
    protocol.connection_made(pipe)
    return protocol, pipe, kinds


async def _size(exchange: Exchange) -> Reply:
    return Reply(body=b"%d bytes" % len(await exchange.body()))


def _put(size: int, path: str = "/api/x") -> bytes:
    return b"PUT %b HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (path.encode(), size)


async def _settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_small_body_that_comes_in_pieces_is_handed_over_whole() -> None:
    protocol, pipe, kinds = _connected(_size)
    whole = _put(5) + b"12345"
    for at in range(len(whole)):
        assert pipe.written == b""
        protocol.data_received(whole[at : at + 1])
        await _settle()
    assert pipe.written.endswith(b"content-length: 7\r\n\r\n5 bytes")
    assert kinds == ["DirectExchange"]


@pytest.mark.parametrize(
    ("size", "kind"), [(MAX_DIRECT_BYTES, "DirectExchange"), (MAX_DIRECT_BYTES + 1, "AsgiExchange")]
)
async def test_only_a_body_of_bounded_length_is_gathered_before_it_is_handled(size: int, kind: str) -> None:
    protocol, pipe, kinds = _connected(_size)
    protocol.data_received(_put(size) + b"x" * size)
    await _settle()
    assert pipe.written.endswith(b"%d bytes" % size)
    assert kinds == [kind]


@pytest.mark.parametrize(
    "request_head",
    [
        b"PUT /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"PUT /api/x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
        b"PUT http://h/api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
        b"PUT /other HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
    ],
)
async def test_what_is_not_plain_is_received_by_the_server_as_before(request_head: bytes) -> None:
    protocol, pipe, kinds = _connected(_size)
    protocol.data_received(request_head)
    await _settle()
    assert pipe.written.endswith(b"3 bytes")
    assert kinds == ["AsgiExchange"]


async def test_a_request_that_comes_while_one_is_answered_waits_for_its_turn() -> None:
    first = asyncio.Event()

    async def slow(exchange: Exchange) -> Reply:
        body = await exchange.body()
        if body == b"1":
            await first.wait()
        return Reply(body=body)

    protocol, pipe, kinds = _connected(slow)
    protocol.data_received(_put(1) + b"1" + _put(1) + b"2" + _put(1) + b"3")
    await _settle()
    assert pipe.written == b""
    first.set()
    await _settle()
    bodies = [part[:1] for part in pipe.written.split(b"\r\n\r\n")[1:]]
    assert bodies == [b"1", b"2", b"3"]
    assert kinds == ["DirectExchange", "AsgiExchange", "AsgiExchange"]


async def test_who_waits_hears_that_the_caller_has_gone() -> None:
    heard: list[str] = []

    async def wait(exchange: Exchange) -> Reply:
        assert await exchange.body() == b"1"
        await exchange.gone()
        heard.append("gone")
        return Reply(body=b"")

    protocol, pipe, _kinds = _connected(wait)
    protocol.data_received(_put(1) + b"1")
    await _settle()
    assert heard == []
    protocol.connection_lost(None)
    await _settle()
    assert heard == ["gone"]
    assert pipe.written == b""


async def test_a_caller_that_went_before_anybody_asked_is_gone_too() -> None:
    asked = asyncio.Event()
    heard: list[str] = []

    async def wait(exchange: Exchange) -> Reply:
        await asked.wait()
        await exchange.gone()
        heard.append("gone")
        return Reply(body=b"")

    protocol, _pipe, _kinds = _connected(wait)
    protocol.data_received(_put(0))
    await _settle()
    protocol.connection_lost(None)
    asked.set()
    await _settle()
    assert heard == ["gone"]


async def test_an_answer_in_pieces_is_sent_as_it_comes() -> None:
    async def stream(_exchange: Exchange) -> Reply:
        async def pieces() -> Any:
            yield b"one"
            yield b"two"

        return Reply(body=pieces())

    protocol, pipe, kinds = _connected(stream)
    protocol.data_received(_put(0) + _put(0))
    await _settle()
    assert pipe.written.count(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n") == 2
    assert kinds == ["DirectExchange", "AsgiExchange"]


async def test_a_connection_on_which_answering_failed_is_closed() -> None:
    async def fail(_exchange: Exchange) -> Reply:
        raise RuntimeError("it broke")

    protocol, pipe, _kinds = _connected(fail)
    protocol.data_received(_put(0))
    await _settle()
    assert pipe.closed
    assert pipe.written == b""


async def test_a_connection_that_brings_nothing_more_is_closed_in_time() -> None:
    protocol, pipe, _kinds = _connected(_size)
    protocol.timeout_keep_alive = 0.02  # type: ignore[assignment] # seconds; uvicorn says int
    protocol.data_received(_put(0))
    await _settle()
    assert not pipe.closed
    # The timer of the request's own deadline, which is longer, rings first; it is moved here.
    assert protocol._alarm is not None
    protocol._alarm.cancel()
    protocol._ring()
    await asyncio.sleep(0.05)
    assert pipe.closed
