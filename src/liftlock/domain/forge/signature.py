"""Whether bytes were sent by who knows the webhook's secret: asked before anything in them is read."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

SCHEME: Final = "sha256="
_DIGITS: Final = 64


def is_signed(secret: bytes, body: bytes, header: str | None) -> bool:
    """Tell whether `header` (`sha256=` and 64 hexadecimal digits) is the HMAC-SHA256 of exactly `body`."""
    if not secret or header is None or not header.startswith(SCHEME) or len(header) != len(SCHEME) + _DIGITS:
        return False
    wanted = hmac.new(secret, body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(wanted.encode(), header[len(SCHEME) :].encode("utf-8", "replace"))
