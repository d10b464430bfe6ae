"""`1 year 2 months 3 weeks 4 days 5 hours 6 minutes 7 seconds`, each part optional, counted from an instant."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from liftlock.errors import TemplateRefusedError

MAX_OFFSET_CHARS = 1_000
_OFFSET = re.compile(
    r"(\s*(?P<years>\d+)\s*(years|year|yr|y))?"
    r"(\s*(?P<months>\d+)\s*(months|month|mo))?"
    r"(\s*(?P<weeks>\d+)\s*(weeks|week|wk|w))?"
    r"(\s*(?P<days>\d+)\s*(days|day|d))?"
    r"(\s*(?P<hours>\d+)\s*(hours|hour|hr|h))?"
    r"(\s*(?P<minutes>\d+)\s*(minutes|minute|min|m))?"
    r"(\s*(?P<seconds>\d+)\s*(seconds|second|sec|s))?\s*\Z"
)
_CANONICAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\Z", re.ASCII)
_REFERENCE = "%Y-%m-%dT%H:%M:%S.%fZ"


def from_now(offset: Any, reference: Any) -> str:
    """Return the instant `offset` after `reference` (before it with a leading `-`), in milliseconds with `Z`.

    A year counts 365 days, a month 30.

    Raises:
        TemplateRefusedError: Either is of another form, or the result is no year from 1 to 9999.
    """
    if type(offset) is not str or len(offset) > MAX_OFFSET_CHARS:
        raise TemplateRefusedError(
            f"fromNow expects an offset like '3 days 1 hour', got {str(offset)[:40]!r}"
        )
    try:
        instant = _instant(reference) + _delta(offset)
    except OverflowError as error:
        raise TemplateRefusedError(f"fromNow: {offset[:40]!r} leads out of the calendar") from error
    return instant.isoformat(timespec="milliseconds") + "Z"


@lru_cache(maxsize=512)
def _delta(offset: str) -> timedelta:
    """Return how long `offset` says; a template says the same few again and again."""
    text = offset.lstrip()
    past = text.startswith("-")
    text = text[1:].lstrip() if past else text
    match = _OFFSET.match(text[1:].lstrip() if text.startswith("+") else text)
    if match is None:
        raise TemplateRefusedError(f"fromNow expects an offset like '3 days 1 hour', got {offset[:40]!r}")
    count = {unit: int(digits or 0) for unit, digits in match.groupdict().items()}
    delta = timedelta(
        days=365 * count["years"] + 30 * count["months"] + count["days"],
        weeks=count["weeks"],
        hours=count["hours"],
        minutes=count["minutes"],
        seconds=count["seconds"],
    )
    return -delta if past else delta


def _instant(reference: Any) -> datetime:
    """Return the naive UTC instant that `reference` names."""
    if isinstance(reference, datetime):
        return reference.astimezone(UTC).replace(tzinfo=None)
    try:
        if type(reference) is str and _CANONICAL.match(reference):  # strptime takes twenty times as long
            return datetime.fromisoformat(reference[:-1])
        return datetime.strptime(reference, _REFERENCE)  # noqa: DTZ007 naive on purpose, `Z` is in the form
    except (TypeError, ValueError) as error:
        raise TemplateRefusedError(
            f"fromNow expects a time like 2026-01-31T12:00:00.000Z to count from, got {str(reference)[:40]!r}"
        ) from error
