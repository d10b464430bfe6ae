"""Asks the parsing server. Implements `ports.confined_parser.ConfinedParser`."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Final

from liftlock.adapters.parsing.confinement import ANSWER_BYTES
from liftlock.adapters.parsing.server import DONE, REFUSED, UNKNOWN
from liftlock.errors import InputValidationError, IsolationUnavailableError
from liftlock.ports.confined_parser import ParserFailedError

_ANSWER_S: Final = 90.0
_REFUSAL_BYTES: Final = 4000


class ForkedParser:
    """Speaks to the server over `channel`, one parsing at a time."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._busy = asyncio.Lock()
        channel.settimeout(_ANSWER_S)

    async def parse(self, parsing: str, given: bytes) -> bytes:
        """Return what the parsing made of it; see the port."""
        async with self._busy:
            return await asyncio.to_thread(self._ask, parsing, given)

    def _ask(self, parsing: str, given: bytes) -> bytes:
        question = os.memfd_create("question", os.MFD_CLOEXEC)
        answer = os.memfd_create("answer", os.MFD_CLOEXEC)
        try:
            with os.fdopen(os.dup(question), "wb") as file:
                file.write(given)
            try:
                socket.send_fds(self._channel, [parsing.encode()], [question, answer])
                said = self._channel.recv(1)
            except OSError as error:
                raise IsolationUnavailableError(f"the parsing process is gone: {error}") from error
            content = _read(answer)
        finally:
            os.close(question)
            os.close(answer)
        if said == DONE:
            return content
        if said == REFUSED:
            rule, _, message = content[:_REFUSAL_BYTES].decode("utf-8", "replace").partition("\n")
            raise InputValidationError(message, **({"rule": rule} if rule else {}))
        if not said:
            raise IsolationUnavailableError("the parsing process is gone")
        if said == UNKNOWN:
            raise ParserFailedError(f"there is no parsing {parsing!r}")
        raise ParserFailedError(
            f"{parsing}: the parsing process was ended: the content takes more memory or time than it may"
        )


def _read(descriptor: int) -> bytes:
    size = os.fstat(descriptor).st_size
    if size > ANSWER_BYTES:
        raise ParserFailedError(f"the parsing process answered {size} bytes, more than it may")
    return os.pread(descriptor, size, 0)
