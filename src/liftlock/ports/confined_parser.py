"""Parsing what is hostile: in a process that can do nothing but compute, with little memory and time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from liftlock.errors import LiftlockError

Parsing = Callable[[bytes], bytes]
"""A pure function of what it is given; an InputValidationError of it is its answer."""


class ParserFailedError(LiftlockError):
    """The confined process was ended: it took too much memory or time, or did what it may not."""

    code = "ParserFailed"


class ConfinedParser(Protocol):
    """Runs parsings that it knew before it saw any content."""

    async def parse(self, parsing: str, given: bytes) -> bytes:
        """Return what the parsing made of `given`.

        Raises:
            InputValidationError: the parsing refused the content; its own message.
            ParserFailedError: the process was ended, or there is no such parsing.
        """
        ...
