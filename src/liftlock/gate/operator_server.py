"""The operators' socket: root and the users that the policy names; a line of JSON each way.

Source: docs/reference/gate.md#operators
"""

from __future__ import annotations

import asyncio
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
_encode = msgspec.json.Encoder().encode


class OperatorServer:
    """Answers operators; everybody else is turned away, and that is written down."""

    def __init__(self, desk: Desk, feed: FeedServer) -> None:
        self._desk = desk
        self._feed = feed
        self._open = 0

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        self._open += 1
        try:
            uid = peer_uid(writer.transport)
            while True:
                async with asyncio.timeout(IDLE_S):
                    line = await reader.readline()
                if not line:
                    return
                writer.write(_encode(await self._answer(uid, line)) + b"\n")
                await writer.drain()
        except (ConnectionError, TimeoutError, ValueError, AuthenticationFailedError):
            return
        finally:
            self._open -= 1
            writer.close()

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

    def _admit(self, uid: int) -> None:
        if uid != 0 and uid not in self._desk.operators:
            self._desk.metrics.count("errors_total", kind="foreign-operator")
            self._desk.record_later(self._desk.entry("operator", "", f"uid {uid}", "turned-away"))
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
