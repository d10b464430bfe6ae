"""Points in time on the wire and in the database.

Inside, an instant is an aware UTC `datetime`. On the wire it is `YYYY-MM-DDTHH:MM:SS.mmmZ`; in the database it is
an integer of milliseconds since 1970, so that both databases compare it the same way.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from liftlock.errors import InputInvalidError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_CANONICAL_CHARS = len("2026-01-31T12:00:00.000Z")
_MOST_CHARS = len("2026-01-31T12:00:00.000000000+00:00")
_FORM = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})\Z", re.ASCII)


def to_ms(instant: datetime) -> int:
    """Return whole milliseconds since 1970 (rounded down)."""
    return (instant - _EPOCH) // _MILLISECOND


def from_ms(ms: int) -> datetime:
    """Return the aware UTC instant `ms` milliseconds after 1970."""
    return _EPOCH + timedelta(milliseconds=ms)


def format_instant(instant: datetime) -> str:
    """Return the wire form: UTC, milliseconds, `Z`."""
    return format_ms((instant - _EPOCH) // _MILLISECOND)


@lru_cache(maxsize=4096)
def format_ms(ms: int) -> str:
    """Return the wire form of `ms` milliseconds since 1970; the same few are written again and again."""
    seconds, fraction = divmod(ms, 1000)
    return f"{_to_the_second(seconds)}.{fraction:03d}Z"


@lru_cache(maxsize=4096)
def _to_the_second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]


def parse_instant(text: str, *, what: str = "time") -> datetime:
    """Return the aware UTC instant that `text` (RFC 3339) names.

    Raises:
        InputInvalidError: `text` is no RFC 3339 date-time with an offset; `what` is named in the message.
    """
    if len(text) > _MOST_CHARS or _FORM.match(text) is None:
        raise InputInvalidError(f"{what}: expected a time like 2026-01-31T12:00:00.000Z, got {text[:64]!r}")
    try:
        return _parsed(text)
    except (ValueError, OverflowError) as error:
        raise InputInvalidError(f"{what}: {text!r} is no valid date and time ({error})") from error


@lru_cache(maxsize=4096)
def _parsed(text: str) -> datetime:
    """Return the instant; tasks of one group name the same few."""
    if len(text) == _CANONICAL_CHARS and text[-1] == "Z":
        return datetime.fromisoformat(text)
    head, fraction, offset = _split(text)
    return datetime.fromisoformat(head + fraction + offset).astimezone(UTC)


def _split(text: str) -> tuple[str, str, str]:
    """Return date and time, a fraction of at most six digits with its point, and the offset."""
    offset = "+00:00" if text.endswith("Z") else text[-6:]
    body = text[:-1] if text.endswith("Z") else text[:-6]
    head, point, fraction = body.partition(".")
    return head, point + fraction[:6].ljust(6, "0") if point else "", offset
