"""Asks gated on the operators' socket: a line of JSON each way.

Source: docs/reference/gate.md#operators
"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from liftlock.cli.failures import AnsweredError, UnreachableError

RUN: Final = Path("/run/liftlock-gate")
TIMEOUT_S: Final = 30.0
_STATUS: Final = {"InsufficientScopes": 403, "StorageError": 500, "InternalServerError": 500}


class GateClient:
    """One connection; use it as a context manager."""

    def __init__(self, run: Path) -> None:
        self.path = run / "operator.sock"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(TIMEOUT_S)
        try:
            self._socket.connect(str(self.path))
        except OSError as error:
            self._socket.close()
            raise UnreachableError(
                f"{self.path}: gated does not answer ({error.strerror}): is it running?"
            ) from error
        self._file = self._socket.makefile("rwb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._socket.close()

    def ask(self, do: str, **fields: Any) -> dict[str, Any]:
        """Return gated's answer; fields that are None are left out.

        Raises:
            AnsweredError: gated refused, with its code.
            UnreachableError: the connection broke.
        """
        request = {"do": do, **{name: value for name, value in fields.items() if value is not None}}
        try:
            self._file.write(json.dumps(request).encode() + b"\n")
            self._file.flush()
            line = self._file.readline()
        except OSError as error:
            raise UnreachableError(f"{self.path}: {error}") from error
        if not line:
            raise UnreachableError(f"{self.path}: gated closed the connection")
        answer = json.loads(line)
        if "error" in answer:
            code = answer["error"]["code"]
            raise AnsweredError(_STATUS.get(code, 400), code, answer["error"]["message"])
        found: dict[str, Any] = answer["ok"]
        return found
