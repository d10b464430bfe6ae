"""`.cron.yml` means what taskgraph means by it; what is wrong in it is said (A11)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from liftlock.domain.pushes.cron_file import CronEntry, parse_cron
from liftlock.errors import InputInvalidError

SUNDAY = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def entry(more: str) -> CronEntry:
    [found] = parse_cron(f"version: 1\njobs:\n- name: n\n  job: {{type: decision-task}}\n  {more}\n".encode())
    return found


@pytest.mark.parametrize(
    ("when", "first", "in_a_week"),
    [
        ("[{hour: 13, minute: 30}]", datetime(2026, 3, 1, 13, 30, tzinfo=UTC), 7),
        ("[{minute: 45}]", datetime(2026, 3, 1, 12, 45, tzinfo=UTC), 168),
        ("[{hour: 13}]", datetime(2026, 3, 1, 13, tzinfo=UTC), 28),
        ("[{weekday: Monday, hour: 1, minute: 0}]", datetime(2026, 3, 2, 1, tzinfo=UTC), 1),
        ("[{day: 3, hour: 0, minute: 15}]", datetime(2026, 3, 3, 0, 15, tzinfo=UTC), 1),
        ("[{hour: 0, minute: 0}, {hour: 1, minute: 0}]", datetime(2026, 3, 2, 0, tzinfo=UTC), 14),
        ("[{}]", datetime(2026, 3, 1, 12, 15, tzinfo=UTC), 672),
        ("[]", None, 0),
        (
            "{by-project: {'app|other': [{hour: 13, minute: 0}], default: []}}",
            datetime(2026, 3, 1, 13, tzinfo=UTC),
            7,
        ),
        (
            "{by-project: {'ap.*': [{hour: 13, minute: 0}], default: []}}",
            datetime(2026, 3, 1, 13, tzinfo=UTC),
            7,
        ),
        ("{by-project: {ap: [{hour: 13, minute: 0}], default: []}}", None, 0),
    ],
)
def test_times_are_quarters_of_an_hour_in_utc(when: str, first: datetime | None, in_a_week: int) -> None:
    run = entry(f"when: {when}")
    quarters = [SUNDAY + timedelta(minutes=15 * number) for number in range(1, 673)]
    found = [each for each in quarters if run.due("app", each - timedelta(minutes=15), each) == each]
    assert (found[0] if found else None, len(found)) == (first, in_a_week)


@pytest.mark.parametrize(
    ("projects", "runs"), [("[app]", True), ("[all]", True), ("[other]", False), ("[]", False)]
)
def test_a_run_may_be_limited_to_projects(projects: str, runs: bool) -> None:
    run = entry(f"when: [{{}}]\n  run-on-projects: {projects}")
    assert (run.due("app", SUNDAY, SUNDAY + DAY) is not None) == runs


def test_of_what_was_missed_the_latest_counts_and_nothing_older_than_a_week() -> None:
    run = entry("when: [{hour: 13, minute: 0}]")
    assert run.due("app", SUNDAY, SUNDAY + 3 * DAY) == SUNDAY + 2 * DAY + timedelta(hours=1)
    monthly = entry("when: [{day: 2, hour: 0, minute: 0}]")
    assert monthly.due("app", SUNDAY, datetime(2026, 3, 8, 23, tzinfo=UTC)) == datetime(
        2026, 3, 2, tzinfo=UTC
    )
    assert monthly.due("app", SUNDAY, datetime(2026, 3, 9, 1, tzinfo=UTC)) is None


def test_the_decision_gets_its_targets_as_quoted_arguments() -> None:
    [found] = parse_cron(
        b'version: 1\njobs:\n- name: n\n  job: {type: decision-task, treeherder-symbol: N, target-tasks-method: "a b;c",'
        b" optimize-target-tasks: false, include-push-tasks: true, rebuild-kinds: [x]}\n"
    )
    assert found.context("T")["quoted_args"] == (
        "'--target-tasks-method=a b;c' --optimize-target-tasks=False --include-push-tasks --rebuild-kind=x"
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version: 2", "Invalid enum value 2"),
        (b"x" * 262_145, "262145 bytes, expected at most 262144"),
        (b"version: 1\njobs:\n- {name: a/b, job: {type: decision-task}}", "expected 1 to 100 of"),
        (
            b"version: 1\njobs:\n- {name: a, job: {type: trigger-action}}",
            "Invalid enum value 'trigger-action'",
        ),
        (b"version: 1\njobs:\n- {name: a, job: {type: decision-task}, whn: []}", "unknown field `whn`"),
        (b"version: 1\njobs: [&a {name: a}, *a]", "expected YAML without anchors"),
        (b"version: [", "expected YAML"),
        (b"\xff", "expected YAML"),
    ],
)
def test_what_is_wrong_is_said(content: bytes, said: str) -> None:
    with pytest.raises(InputInvalidError) as refused:
        parse_cron(content)
    assert refused.value.message.startswith(".cron.yml: ")
    assert said in refused.value.message


@pytest.mark.parametrize(
    "when", ["[{minute: 10}]", "[{hour: 24}]", "{by-project: {other: []}}", "[{month: 1}]", "3"]
)
def test_times_that_never_come_are_refused(when: str) -> None:
    with pytest.raises(InputInvalidError, match="when"):
        entry(f"when: {when}").due("app", SUNDAY, SUNDAY + DAY)
