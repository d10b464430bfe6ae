"""A secret that does not print: not in a log line, not in a traceback, not by accident in JSON."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from typing import Final, NoReturn
from urllib.parse import quote

from liftlock.errors import LiftlockError

HIDDEN: Final = b"[hidden]"
_LEAST: Final = 8
"""Shorter pieces are no trace of a secret, and hiding them would hide everything."""


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


def hidden(content: bytes, secrets: Iterable[Secret]) -> bytes:
    """Return `content` without the secrets: whole or by line, plain, quoted for addresses, in hexadecimal, and in base64.

    For base64 at any place, such as within a credential `user:secret`, what stands for the secret alone is hidden.
    """
    for secret in secrets:
        for form in sorted(set(_forms(secret.reveal())), key=len, reverse=True):
            content = content.replace(form, HIDDEN)
    return content


def _forms(text: str) -> Iterator[bytes]:
    for part in {text, text.strip(), *(line.strip() for line in text.splitlines())}:
        raw = part.encode("utf-8", "surrogateescape")
        if part == text or len(raw) >= _LEAST:
            yield from (raw, quote(part, safe="").encode(), raw.hex().encode()) if raw else ()
            yield from (form for form in _in_base64(raw) if len(form) >= _LEAST)


def _in_base64(raw: bytes) -> Iterator[bytes]:
    """Yield what every base64 of a text with `raw` in it has in common, by where it begins within three bytes."""
    for before in range(3):
        skipped = (8 * before + 5) // 6
        whole = (8 * (before + len(raw))) // 6
        encoded = base64.b64encode(b"\0" * before + raw)[skipped:whole]
        yield encoded
        yield encoded.translate(bytes.maketrans(b"+/", b"-_"))
