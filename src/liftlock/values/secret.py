"""A secret that does not print: not in a log line, not in a traceback, not by accident in JSON."""

from __future__ import annotations

from typing import NoReturn

from liftlock.errors import LiftlockError


class Secret:
    """Holds a text that only `reveal` gives out."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the secret itself; for the one call that needs it."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        raise LiftlockError("a secret is neither copied nor stored")
