"""When a schedule fires: cron patterns of six fields (second, minute, hour, day, month, weekday), in UTC."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from cronsim import CronSim, CronSimError

from liftlock.errors import InputInvalidError

MAX_PATTERNS: Final = 64
MAX_PATTERN_CHARS: Final = 200
_ANY: Final = datetime(2024, 1, 1, tzinfo=UTC)


def check_schedule(patterns: Sequence[str]) -> None:
    """Return if every pattern is one that fires some day.

    Raises:
        InputInvalidError: naming the pattern and what is wrong with it.
    """
    if len(patterns) > MAX_PATTERNS:
        raise InputInvalidError(f"schedule: expected at most {MAX_PATTERNS} patterns, got {len(patterns)}")
    for index, pattern in enumerate(patterns):
        what = f"schedule[{index}]: {pattern[:80]!r}"
        if len(pattern) > MAX_PATTERN_CHARS or len(pattern.split()) != 6 or not pattern.isascii():
            raise InputInvalidError(f"{what}: expected six fields: second minute hour day month weekday")
        try:
            found = _next(pattern, _ANY)
        except CronSimError as error:
            raise InputInvalidError(f"{what}: {error}") from error
        if found is None:
            raise InputInvalidError(f"{what}: no such day ever comes")


def next_fire(patterns: Sequence[str], after: datetime) -> datetime | None:
    """Return the first instant later than `after` at which any of the checked `patterns` fires; None without patterns.

    Whoever asks with the present skips what was missed meanwhile: however long nobody looked, one fire follows.
    """
    found = [instant for pattern in patterns if (instant := _next(pattern, after)) is not None]
    return min(found, default=None)


def _next(pattern: str, after: datetime) -> datetime | None:
    # Whole seconds: a fraction would let the next fire fall into the very second that `after` is in.
    start = after.astimezone(UTC).replace(microsecond=0)
    return next(CronSim(pattern, start), None)
