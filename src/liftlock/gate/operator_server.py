"""The operators' socket: root and the users that the policy names; a line of JSON each way.

Source: docs/reference/gate.md#operators
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final, assert_never

import msgspec
import structlog

from liftlock.errors import AuthenticationFailedError, LiftlockError, RefusedError
from liftlock.gate import operator_answers as answers
from liftlock.gate.desk import Desk
from liftlock.gate.feed_server import FeedServer
from liftlock.gate.operator_requests import (
    Audit,
    Audited,
    Canary,
    Explain,
    Figures,
    Heads,
    Installed,
    Overriding,
    Replay,
    Request,
    Resynchronise,
    Settings,
    Status,
)
from liftlock.gate.peers import peer_uid
from liftlock.values.json import decode_as

_log = structlog.get_logger(__name__)
IDLE_S: Final = 60.0
MAX_OPEN: Final = 32
"""Connections of operators; strangers do not count."""
MAX_STRANGERS: Final = 16
"""Strangers who are told why at the same time; more are cut off."""
_STRANGERS_S: Final = 2.0
_STRANGERS_BYTES: Final = 65_536
_encode = msgspec.json.Encoder().encode


class OperatorServer:
    """Answers operators; everybody else is turned away, and that is written down."""

    def __init__(self, desk: Desk, feed: FeedServer) -> None:
        self._desk = desk
        self._feed = feed
        self._open = 0
        self._strangers = 0

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        try:
            uid = peer_uid(writer.transport)
            if not self._is_operator(uid):
                await self._turn_away(reader, writer, uid)
                return
            await self._serve(reader, writer, uid)
        except (ConnectionError, TimeoutError, ValueError, AuthenticationFailedError):
            return
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, uid: int) -> None:
        self._open += 1
        try:
            while True:
                async with asyncio.timeout(IDLE_S):
                    line = await reader.readline()
                if not line:
                    return
                writer.write(_encode(await self._answer(uid, line)) + b"\n")
                await writer.drain()
        finally:
            self._open -= 1

    async def _turn_away(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, uid: int) -> None:
        """Say why to somebody who may not ask, whatever the question is: of it only a little is read."""
        self._desk.metrics.count("errors_total", kind="foreign-operator")
        if self._strangers >= MAX_STRANGERS:
            writer.transport.abort()
            return
        self._strangers += 1
        try:
            self._desk.record_later(self._desk.entry("operator", "", f"uid {uid}", "turned-away"))
            await _first_line(reader)
            if isinstance(writer.transport, asyncio.Transport):
                writer.transport.pause_reading()
            why = RefusedError(f"uid {uid} is no operator of the gate: the policy names who is")
            writer.write(_encode({"error": {"code": why.code, "message": why.message}}) + b"\n")
            await writer.drain()
        finally:
            self._strangers -= 1

    async def _answer(self, uid: int, line: bytes) -> dict[str, Any]:
        try:
            self._admit(uid)
            request = decode_as(line, Request, what="gate")
            return {"ok": await self._do(request, f"uid {uid}")}
        except LiftlockError as error:
            return {"error": {"code": error.code, "message": error.message}}
        except Exception:  # noqa: BLE001 -- one operator's request must not end gated
            _log.exception("an operator's request failed")
            return {"error": {"code": "InternalServerError", "message": "gated failed; its log says why"}}

    def _is_operator(self, uid: int) -> bool:
        return uid == 0 or uid in self._desk.operators

    def _admit(self, uid: int) -> None:
        if not self._is_operator(uid):  # the policy has changed since it connected
            raise RefusedError(f"uid {uid} is no operator of the gate: the policy names who is")
        if self._open > MAX_OPEN:
            raise RefusedError("too many operators at the same time: try again")

    async def _do(self, request: Request, operator: str) -> dict[str, Any]:
        match request:
            case Status():
                return answers.status(self._desk, feed_connected=self._feed.connected_now)
            case Figures():
                return answers.figures(self._desk)
            case Explain():
                return answers.explain(self._desk, request)
            case Canary():
                return answers.canary(self._desk, request)
            case Settings():
                return answers.settings(self._desk, request)
            case _:
                return await self._do_with_state(request, operator)

    async def _do_with_state(
        self,
        request: Audit | Replay | Heads | Audited | Resynchronise | Overriding | Installed,
        operator: str,
    ) -> dict[str, Any]:
        match request:
            case Audit():
                found = await answers.audit(self._desk, request)
            case Replay():
                found = await answers.replay(self._desk, request)
            case Heads():
                found = await answers.heads(self._desk, request)
            case Audited():
                found = await answers.audited(self._desk, request, operator)
            case Resynchronise():
                found = await self._resync(request, operator)
            case Overriding():
                found = await answers.override(self._desk, request, operator)
            case Installed():
                found = await answers.installed(self._desk, request, operator)
            case _:
                assert_never(request)
        return found

    async def _resync(self, request: Resynchronise, operator: str) -> dict[str, Any]:
        name = answers.known_source(self._desk, request.source or self._desk.policy.default.source, "resync")
        source = self._desk.knowledge.source(name)
        source.accept_drop = request.accept_drop
        entry = self._desk.entry(
            "operator", "", operator, "resync", source=name, acceptDrop=request.accept_drop
        )
        await self._desk.record([entry])
        self._feed.demand(name, "an operator asked for it")
        return {"source": name, "asked": True, "feedConnected": self._feed.connected_now}


async def _first_line(reader: asyncio.StreamReader) -> None:
    """Wait for the end of a stranger's question, for a moment and a few bytes at most."""
    read = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_STRANGERS_S):
            while read < _STRANGERS_BYTES:
                piece = await reader.read(4_096)
                read += len(piece)
                if not piece or b"\n" in piece:
                    break
