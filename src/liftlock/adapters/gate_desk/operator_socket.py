"""gated on this host, asked on its operators' socket: a line of JSON each way.

Source: docs/reference/gate.md#operators
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

from liftlock.errors import InputInvalidError, LiftlockError, ReceiverUnavailableError
from liftlock.values.json import decode, encode

TIMEOUT_S: Final = 5.0
MAX_ANSWER: Final = 32 << 20


class OperatorSocket:
    """Implements `ports.gate_desk.GateDesk`, with a connection for each question."""

    def __init__(self, run: Path) -> None:
        self._path = run / "operator.sock"

    async def ask(self, do: str, **fields: Any) -> dict[str, Any]:
        """Return gated's answer; see the port."""
        said = {"do": do, **{name: value for name, value in fields.items() if value is not None}}
        try:
            async with asyncio.timeout(TIMEOUT_S):
                line = await self._line(encode(said) + b"\n")
        except (OSError, TimeoutError, ValueError) as error:
            raise ReceiverUnavailableError(
                f"gated does not answer at {self._path}: {str(error) or 'too slow'}"
            ) from error
        if not line:
            raise ReceiverUnavailableError(f"gated closed the connection at {self._path}")
        try:
            answer = decode(line, what="gated's answer")
        except LiftlockError as error:
            raise ReceiverUnavailableError(error.message) from error
        return _answered(answer)

    async def _line(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(str(self._path), limit=MAX_ANSWER)
        try:
            writer.write(request)
            await writer.drain()
            return await reader.readline()
        finally:
            writer.close()


class NoGate:
    """Stands where no gate is configured on this host."""

    async def ask(self, do: str, **fields: Any) -> dict[str, Any]:
        """Raise ReceiverUnavailableError, with what to do."""
        raise ReceiverUnavailableError(
            "no gate is known here: `liftlock up --gate-run DIR` names the folder of gated's sockets on this host"
        )


def _answered(answer: Any) -> dict[str, Any]:
    if isinstance(answer, dict) and isinstance(answer.get("ok"), dict):
        found: dict[str, Any] = answer["ok"]
        return found
    told = answer.get("error") if isinstance(answer, dict) else None
    code, message = (str(told.get("code")), str(told.get("message"))) if isinstance(told, dict) else ("", "")
    if code in ("InputError", "InputValidationError", "MalformedPayload"):
        raise InputInvalidError(message)
    raise ReceiverUnavailableError(f"gated: {message or 'it answered something else'}"[:500])
