"""Schedules: six fields in UTC, seconds first; what was missed is not made up for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from liftlock.domain.hooks.schedule import check_schedule, next_fire
from liftlock.errors import InputInvalidError

START = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("0 0 0 * * *", datetime(2026, 3, 2, tzinfo=UTC)),
        ("31 0 12 * * *", START + timedelta(seconds=1)),
        ("30 0 12 * * *", START + timedelta(days=1)),
        ("*/15 * * * * *", START + timedelta(seconds=15)),
        ("0 30 6 * * MON-FRI", datetime(2026, 3, 2, 6, 30, tzinfo=UTC)),
        ("0 0 0 29 2 *", datetime(2028, 2, 29, tzinfo=UTC)),
    ],
)
def test_the_next_fire_is_after_the_present(pattern: str, expected: datetime) -> None:
    check_schedule([pattern])
    assert next_fire([pattern], START) == expected


def test_of_several_patterns_the_first_to_come_fires() -> None:
    assert next_fire(["0 0 0 * * *", "0 1 12 * * *"], START) == datetime(2026, 3, 1, 12, 1, tzinfo=UTC)


def test_without_patterns_nothing_fires() -> None:
    assert next_fire([], START) is None


def test_a_fraction_of_a_second_does_not_fire_the_same_second_again() -> None:
    at = datetime(2026, 3, 1, 12, 0, 0, 900_000, tzinfo=UTC)
    assert next_fire(["0 * * * * *"], at) == datetime(2026, 3, 1, 12, 1, tzinfo=UTC)


def test_the_time_zone_of_the_question_does_not_matter() -> None:
    elsewhere = START.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert next_fire(["0 0 * * * *"], elsewhere) == datetime(2026, 3, 1, 13, tzinfo=UTC)


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "* * * * *",
        "* * * * * * *",
        "60 * * * * *",
        "0 0 24 * * *",
        "a b c d e f",
        "0 0 0 30 2 *",
        "é * * * * *",
    ],
)
def test_a_wrong_pattern_is_refused_when_the_hook_is_saved(pattern: str) -> None:
    with pytest.raises(InputInvalidError, match=r"^schedule\[1\]"):
        check_schedule(["0 0 0 * * *", pattern])


def test_a_hook_has_at_most_64_patterns() -> None:
    check_schedule(["0 0 0 * * *"] * 64)
    with pytest.raises(InputInvalidError, match="at most 64"):
        check_schedule(["0 0 0 * * *"] * 65)
