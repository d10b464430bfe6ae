"""How a webhook's request is signed, and when a failed one is tried again.

The signature is that of the Standard Webhooks specification, so that consumers check it by existing libraries.

Source: docs/reference/events.md#webhooks
"""

from __future__ import annotations

import base64
import hmac
import re
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from liftlock.errors import InputInvalidError, RequestArgumentsError

SECRET_BYTES: Final = 32
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 -- what every secret begins with
MAX_URL: Final = 2048
KEPT_FOR: Final = timedelta(days=1)
"""How long an event is tried again before it is given up."""
FIRST_WAIT: Final = timedelta(seconds=2)
LONGEST_WAIT: Final = timedelta(minutes=10)
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}(?:/[A-Za-z0-9_-]{1,64}){0,3}\Z")


def webhook_id(text: str) -> str:
    """Return `text` if it is the id of a webhook.

    Raises:
        RequestArgumentsError: it is not.
    """
    if _ID.match(text) is None:
        raise RequestArgumentsError(
            f"webhookId: expected one to four parts of letters, digits, - and _, parted by /; got {text[:80]!r}"
        )
    return text


def check_url(url: str) -> str:
    """Return the address if events can be sent there; whether it may be connected to is seen at each connection.

    Raises:
        InputInvalidError: it is no plain http(s) address.
    """
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if (
        not fits
        or "@" in parts.netloc
        or "#" in url
        or len(url) > MAX_URL
        or not url.isascii()
        or not url.isprintable()
        or " " in url
    ):
        raise InputInvalidError(
            f"url: expected http(s)://host/… in ASCII, at most {MAX_URL} characters, without user, password and"
            " fragment; put credentials into nothing but the signature's secret"
        )
    return url


def secret_text(raw: bytes) -> str:
    """Return the secret as its holder gets it."""
    return SECRET_PREFIX + base64.b64encode(raw).decode()


def signature(raw: bytes, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """Return the headers that prove who sent `body`, when, and under which id."""
    stamp = str(int(at.timestamp()))
    mac = hmac.digest(raw, f"{message_id}.{stamp}.".encode() + body, "sha256")
    return {
        "webhook-id": message_id,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }


def wait_after(failures: int) -> timedelta:
    """Return how long to wait after so many failures in a row: two seconds, doubled each time up to ten minutes."""
    return min(FIRST_WAIT * (1 << min(failures - 1, 20)), LONGEST_WAIT)


def next_attempt(created: datetime, failures: int, now: datetime) -> datetime | None:
    """Return when to try again, None if the event is given up."""
    at = now + wait_after(failures)
    return None if at - created > KEPT_FOR else at
