"""The API proxy of one run: accepts on the sandbox's listening socket, signs with the task's scopes, follows nothing."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager

from liftlock.domain.credentials.certificates import Credentials
from liftlock.errors import LiftlockError
from liftlock.ports.queue_client import ForwardAnswer, ForwardRequest, QueueClient
from liftlock.worker.network.connection import Connection
from liftlock.worker.network.door import Door
from liftlock.worker.network.record import NetworkRecord
from liftlock.worker.proxy.admission import Admitted, Refusal, admit, returned
from liftlock.worker.proxy.rewriting import (
    MAX_REWRITTEN_BYTES,
    rewritten_headers,
    rewritten_json,
    secret_texts,
)

PORT = 8073
"""Inside the sandbox, on 127.0.0.1."""
INSIDE_URL = f"http://127.0.0.1:{PORT}"
MAX_FORWARDED = 16
"""Requests of one run that are with the control plane at a time; further ones wait."""


class ApiProxy:
    """Serves one run at `port` inside. `credentials` gives those of the run, current ones; `hide` gets secrets that a task was given."""

    port = PORT

    def __init__(
        self,
        queue: QueueClient,
        *,
        scopes: tuple[str, ...],
        credentials: Callable[[], Credentials],
        hide: Callable[[Iterable[str]], None],
    ) -> None:
        self._queue = queue
        self._scopes = scopes
        self._credentials = credentials
        self._hide = hide
        self._forwarded = asyncio.Semaphore(MAX_FORWARDED)
        self.record = NetworkRecord()
        self._door = Door(PORT, self, self.record, speaker="the worker's API proxy")

    def serving(self, listeners: tuple[socket.socket, ...]) -> AbstractAsyncContextManager[None]:
        """Serve on `listeners`, which are closed in the end, with all connections."""
        return self._door.serving(listeners)

    async def answer(self, connection: Connection) -> None:
        """Serve one connection of the task's, until it ends."""
        while (request := await connection.request()) is not None:
            decided = admit(bytes(request.method), bytes(request.target), request.headers)
            if isinstance(decided, Refusal):
                self.record.refuse(_shown(request.method), _shown(request.target), decided.why)
                await connection.refuse(decided.status, decided.why)
                break
            await self._forward(connection, decided)
            if not connection.ready_for_next():
                break

    async def _forward(self, connection: Connection, admitted: Admitted) -> None:
        request = ForwardRequest(
            admitted.method,
            admitted.target,
            admitted.headers,
            self._scopes,
            self._credentials(),
            admitted.signed,
            admitted.length,
        )
        body = None if admitted.length == 0 else connection.body()
        async with self._forwarded:
            try:
                if body is None:
                    async for _ in connection.body():
                        pass
                async with self._queue.forward(request, body) as answer:
                    await self._answer(connection, admitted, answer)
            except LiftlockError as error:
                await connection.refuse(502, error.message, code=error.code)

    async def _answer(self, connection: Connection, admitted: Admitted, answer: ForwardAnswer) -> None:
        headers = rewritten_headers(returned(answer.headers), self._queue.root_url, INSIDE_URL)
        body = answer.body
        if admitted.method == "HEAD" or answer.status in (204, 304):
            await connection.answer(answer.status, headers, body)
            return
        secret = admitted.service == "secrets"
        if not secret and not _holds_addresses(admitted, answer):
            await connection.answer(answer.status, [*headers, *_length(answer)], body)
            return
        start = bytearray()
        async for chunk in body:
            start += chunk
            if len(start) > MAX_REWRITTEN_BYTES:
                await connection.answer(answer.status, headers, _joined(bytes(start), body))
                return
        content = bytes(start)
        if secret:
            self._hide(secret_texts(content))
        await connection.answer_whole(
            answer.status, headers, rewritten_json(content, self._queue.root_url, INSIDE_URL)
        )


def _holds_addresses(admitted: Admitted, answer: ForwardAnswer) -> bool:
    """Tell whether an answer is JSON that says where something lies: a redirect, or a route that answers with a link."""
    kinds = [value for name, value in answer.headers if name.lower() == b"content-type"]
    is_json = bool(kinds) and kinds[0].partition(b";")[0].strip().lower() == b"application/json"
    links = b"/artifacts/" in admitted.target or b"/artifact-content/" in admitted.target
    return is_json and (300 <= answer.status < 400 or links)


def _length(answer: ForwardAnswer) -> list[tuple[bytes, bytes]]:
    return [(b"content-length", value) for name, value in answer.headers if name.lower() == b"content-length"]


async def _joined(start: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield start
    async for chunk in rest:
        yield chunk


def _shown(raw: bytes) -> str:
    return raw[:200].decode("ascii", "backslashreplace")
