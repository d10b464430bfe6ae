"""Parsings without a process of their own: for tests of what is around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from liftlock.domain.operations.parsings import PARSINGS, SHOWING
from liftlock.ports.confined_parser import ParserFailedError, Parsing


@dataclass(frozen=True, slots=True)
class DirectParser:
    """Implements `ports.confined_parser.ConfinedParser`."""

    parsings: Mapping[str, Parsing]

    @classmethod
    def of_all(cls) -> DirectParser:
        return cls({**PARSINGS, **SHOWING})

    async def parse(self, parsing: str, given: bytes) -> bytes:
        if parsing not in self.parsings:
            raise ParserFailedError(f"there is no parsing {parsing!r}")
        return self.parsings[parsing](given)
