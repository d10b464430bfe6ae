"""Sessions of the pages: what a browser's secret is stored as, when a session ends, and the tokens of its forms.

Source: docs/reference/pages.md#signing-in
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

SESSION_LASTS: Final = timedelta(hours=12)
LINK_LASTS: Final = timedelta(minutes=10)
MAX_LINK_LASTS: Final = timedelta(days=1)
FORM_LASTS: Final = timedelta(hours=1)
"""Shorter than nonces are kept: a form that was sent once can't be sent again while its token holds."""
FORM_AHEAD_S: Final = 60
SECRET_BYTES: Final = 32

_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}\Z", re.ASCII)
_TOKEN: Final = re.compile(r"(\d{9,11})\.([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})\Z", re.ASCII)


def secret_text(random: bytes) -> str:
    """Return the text of a secret made of `SECRET_BYTES` random bytes: 43 characters of url-safe base64."""
    return base64.urlsafe_b64encode(random).rstrip(b"=").decode()


def stored_id(secret: str) -> str | None:
    """Return what `secret` is stored as (sha256, hexadecimal); None if it has not a secret's form."""
    if _SECRET.match(secret) is None:
        return None
    return hashlib.sha256(secret.encode()).hexdigest()


def proof_of(access_token: bytes) -> str:
    """Return the digest that ties a session to the client's access token, so that a new token ends it."""
    return hmac.digest(access_token, b"liftlock: session of the pages", "sha256").hex()


@dataclass(frozen=True, slots=True)
class FormMark:
    """What makes a form that was sent unique: when it was made (seconds since 1970), and its nonce."""

    ts: int
    nonce: str


def form_token(secret: str, mark: FormMark) -> str:
    """Return the token for one form of the session that `secret` belongs to."""
    return f"{mark.ts}.{mark.nonce}.{_mac(secret, mark)}"


def check_form_token(secret: str, token: str, now_s: int) -> FormMark | str:
    """Return the mark of a token that was made for the session of `secret` and holds at `now_s`, or why it is refused."""
    match = _TOKEN.match(token)
    if match is None:
        return "the form carries no token of this site"
    mark = FormMark(int(match[1]), match[2])
    if not hmac.compare_digest(_mac(secret, mark), match[3]):
        return "the form was made for another session"
    if not now_s - FORM_LASTS.total_seconds() < mark.ts <= now_s + FORM_AHEAD_S:
        return "the form is older than an hour"
    return mark


def _mac(secret: str, mark: FormMark) -> str:
    mac = hmac.digest(secret.encode(), f"liftlock form:{mark.ts}:{mark.nonce}".encode(), "sha256")
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
