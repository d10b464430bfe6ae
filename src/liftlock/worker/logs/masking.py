"""Secrets in a log are replaced, also when a chunk ends in the middle of one."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote

HIDDEN = "[hidden]"
LEAST_CHARS = 6
"""Shorter values are not secrets that could be hidden: replacing them would destroy the log and tell them anyway."""
MOST_CHARS = 16 * 1024
MOST_SECRETS = 4000
"""Spellings that are masked: several of each secret."""
_FOR_HTML = {ord(one): f"\\u{ord(one):04x}" for one in "<>&"}


def spellings(secret: str) -> set[str]:
    """Return the texts in which `secret` may stand in a log.

    Itself and its lines; percent-encoded; in base64; and as JSON (ASCII or UTF-8, with or without escaped slashes, angle
    brackets and ampersands) and Python write it between quotes.
    """
    found = {secret, *(line.strip() for line in secret.splitlines())}
    found |= {written for one in found for written in _quoted(one)}
    found |= {quote(secret, safe=""), quote(secret)}
    raw = secret.encode("utf-8", "replace")
    found |= {base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()}
    found |= {one.rstrip("=") for one in found if one.endswith("=")}
    return {one for one in found if LEAST_CHARS <= len(one) <= MOST_CHARS}


def _quoted(text: str) -> Iterator[str]:
    """Yield `text` as it stands between quotes in JSON and in Python's own notation of text and bytes."""
    for ascii_only in (True, False):
        written = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
        yield from (written, written.replace("/", "\\/"), written.translate(_FOR_HTML))
    plain = repr(text)[1:-1]
    yield from (
        plain,
        plain.replace("'", "\\'"),
        ascii(text)[1:-1],
        repr(text.encode("utf-8", "replace"))[2:-1],
    )


class Mask:
    """Masks a stream in chunks. What is held back is the longest end that may be the start of a secret."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._longest = 0
        self._held = ""
        self.hidden = 0
        self.add(secrets)

    @property
    def holds(self) -> bool:
        """Tell whether text is held back."""
        return bool(self._held)

    def add(self, secrets: Iterable[str]) -> None:
        """Mask these too from now on."""
        fresh = {text for secret in secrets for text in spellings(secret)} - self._secrets
        if not fresh or len(self._secrets) >= MOST_SECRETS:
            return
        self._secrets |= fresh
        self._longest = max(map(len, self._secrets))
        longest_first = sorted(self._secrets, key=lambda text: (-len(text), text))
        self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def feed(self, text: str) -> str:
        """Return what is certain after `text`."""
        if self._pattern is None:
            return text
        text = self._hide(self._held + text)
        begin = self._unfinished(text)
        text, self._held = text[:begin], text[begin:]
        return text

    def finish(self) -> str:
        """Return the rest: the stream has ended."""
        rest, self._held = self._held, ""
        return rest

    def whole(self, text: str) -> str:
        """Return a whole text masked, whatever is held back."""
        return self._hide(text)

    def _hide(self, text: str) -> str:
        if self._pattern is None:
            return text
        text, count = self._pattern.subn(HIDDEN, text)
        self.hidden += count
        return text

    def _unfinished(self, text: str) -> int:
        """Return where the earliest end of `text` begins that is the start of a secret; its length if there is none."""
        earliest = len(text)
        for secret in self._secrets:
            at = text.find(secret[0], max(0, len(text) - len(secret) + 1), earliest)
            while 0 <= at < earliest:
                if secret.startswith(text[at:]):
                    earliest = at
                    break
                at = text.find(secret[0], at + 1, earliest)
        return earliest
