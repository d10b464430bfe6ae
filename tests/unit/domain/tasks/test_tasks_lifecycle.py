"""The task's state machine: its rules one by one, and what holds after any sequence of events."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.domain.tasks.lifecycle import (
    MAX_RUNS,
    RESOLVED,
    Cancel,
    Changed,
    Claim,
    Conflict,
    DependenciesMet,
    Progress,
    Reclaim,
    Report,
    Rerun,
    Schedule,
    Sweep,
    TaskEvent,
    Unchanged,
    begin,
    decide,
    due_ms,
)

DEADLINE = 1_000_000
COMPLETED = Report(0, "completed", "completed")


def pending(**changes: Any) -> Progress:
    return begin(**{"retries": 2, "deadline_ms": DEADLINE, "unmet": 0, "now_ms": 0, **changes})


def after(progress: Progress, event: TaskEvent, now_ms: int) -> Progress:
    verdict = decide(progress, event, now_ms)
    assert isinstance(verdict, Changed), verdict
    return verdict.after


def running(until_ms: int = 100, **changes: Any) -> Progress:
    return after(pending(**changes), Claim("g", "w", until_ms), 1)


def conflict(progress: Progress, event: TaskEvent, now_ms: int) -> str:
    verdict = decide(progress, event, now_ms)
    assert isinstance(verdict, Conflict), verdict
    return verdict.message


def test_a_task_without_dependencies_begins_pending_with_run_zero() -> None:
    assert pending().state == "pending"
    assert [(run.run_id, run.reason_created) for run in pending().runs] == [(0, "scheduled")]


def test_a_task_with_dependencies_begins_unscheduled_and_is_scheduled_by_the_last_one() -> None:
    waiting = pending(unmet=2)
    assert (waiting.state, waiting.runs) == ("unscheduled", ())
    nearly = after(waiting, DependenciesMet(1), 5)
    assert nearly.state == "unscheduled"
    assert after(nearly, DependenciesMet(1), 6).runs[0].scheduled_ms == 6


def test_dependencies_met_after_the_deadline_schedule_nothing() -> None:
    assert after(pending(unmet=1), DependenciesMet(1), DEADLINE).state == "unscheduled"


def test_a_claim_records_the_worker_and_the_lease() -> None:
    run = running().runs[0]
    assert (run.state, run.worker_group, run.worker_id, run.taken_until_ms, run.started_ms) == (
        "running",
        "g",
        "w",
        100,
        1,
    )


def test_a_running_task_can_not_be_claimed_again() -> None:
    assert "not waiting" in conflict(running(), Claim("g", "other", 200), 2)


def test_a_pending_task_can_not_be_claimed_at_its_deadline() -> None:
    assert isinstance(decide(pending(), Claim("g", "w", DEADLINE + 9), DEADLINE), Conflict)
    assert isinstance(decide(pending(), Claim("g", "w", DEADLINE + 9), DEADLINE - 1), Changed)


@pytest.mark.parametrize("event", [Reclaim(0, 500), COMPLETED])
def test_a_lease_ends_at_taken_until_and_not_later(event: TaskEvent) -> None:
    assert isinstance(decide(running(until_ms=100), event, 99), Changed)
    assert conflict(running(until_ms=100), event, 100) == "the claim on run 0 has lapsed; stop working on it"


@pytest.mark.parametrize("event", [Reclaim(0, 5 * DEADLINE), COMPLETED])
def test_a_worker_can_change_nothing_at_the_deadline(event: TaskEvent) -> None:
    held = running(until_ms=2 * DEADLINE)
    assert isinstance(decide(held, event, DEADLINE - 1), Changed)
    assert "deadline" in conflict(held, event, DEADLINE)


def test_reclaiming_extends_the_lease() -> None:
    assert after(running(), Reclaim(0, 300), 50).runs[0].taken_until_ms == 300


def test_a_report_is_idempotent_but_never_turns_a_resolution() -> None:
    done = after(running(), COMPLETED, 50)
    assert decide(done, COMPLETED, 60) == Unchanged()
    assert "completed" in conflict(done, Report(0, "failed", "failed"), 60)
    assert "completed" in conflict(done, Reclaim(0, 500), 60)


def test_a_report_on_a_run_that_does_not_exist_is_a_conflict() -> None:
    assert conflict(running(), Report(7, "completed", "completed"), 2) == "the task has no run 7"


@pytest.mark.parametrize(
    ("reason", "created"), [("worker-shutdown", "retry"), ("intermittent-task", "task-retry")]
)
def test_reasons_of_infrastructure_make_a_further_run(reason: str, created: str) -> None:
    again = after(running(), Report(0, "exception", reason), 50)
    assert (again.state, again.retries_left) == ("pending", 1)
    assert [(run.state, run.reason_created) for run in again.runs] == [
        ("exception", "scheduled"),
        ("pending", created),
    ]


@pytest.mark.parametrize("reason", ["malformed-payload", "resource-unavailable", "internal-error"])
def test_other_exceptions_are_final(reason: str) -> None:
    ended = after(running(), Report(0, "exception", reason), 50)
    assert (ended.state, len(ended.runs)) == ("exception", 1)


def test_without_retries_left_an_exception_is_final() -> None:
    assert after(running(retries=0), Report(0, "exception", "worker-shutdown"), 50).state == "exception"


def test_a_lapsed_claim_is_retried_by_the_sweep_and_the_old_worker_is_fenced_off() -> None:
    assert decide(running(), Sweep(), 99) == Unchanged()
    again = after(running(), Sweep(), 100)
    assert again.runs[0].reason_resolved == "claim-expired"
    assert again.runs[1].state == "pending"
    claimed = after(again, Claim("g", "second", 300), 101)
    assert isinstance(decide(claimed, COMPLETED, 102), Conflict)
    assert isinstance(decide(claimed, Reclaim(0, 999), 102), Conflict)


@pytest.mark.parametrize("make", [lambda: pending(unmet=1), pending, running])
def test_the_deadline_ends_every_unresolved_task(make: Any) -> None:
    ended = after(make(), Sweep(), DEADLINE)
    assert (ended.state, ended.runs[-1].reason_resolved, len(ended.runs)) == (
        "exception",
        "deadline-exceeded",
        1,
    )


@pytest.mark.parametrize("make", [lambda: pending(unmet=1), pending, running])
def test_cancelling_resolves_and_repeating_it_does_nothing(make: Any) -> None:
    ended = after(make(), Cancel(), 50)
    assert (ended.state, ended.runs[-1].reason_resolved, len(ended.runs)) == ("exception", "canceled", 1)
    assert decide(ended, Cancel(), 60) == Unchanged()


def test_scheduling_disregards_dependencies_and_is_idempotent() -> None:
    scheduled = after(pending(unmet=3), Schedule(), 5)
    assert (scheduled.state, scheduled.unmet) == ("pending", 3)
    assert decide(scheduled, Schedule(), 6) == Unchanged()
    assert decide(after(scheduled, Cancel(), 7), Schedule(), 8) == Unchanged()


def test_a_rerun_resets_the_retries() -> None:
    spent = after(running(), Report(0, "exception", "worker-shutdown"), 50)
    failed = after(after(spent, Claim("g", "w", 100), 51), Report(1, "failed", "failed"), 52)
    again = after(failed, Rerun(), 53)
    assert (again.state, again.retries_left, again.runs[-1].reason_created) == ("pending", 2, "rerun")
    assert decide(again, Rerun(), 54) == Unchanged()


@pytest.mark.parametrize("event", [Schedule(), Cancel(), Rerun()])
def test_nobody_can_schedule_cancel_or_rerun_at_the_deadline(event: TaskEvent) -> None:
    assert "deadline" in conflict(pending(unmet=1), event, DEADLINE)


def test_a_task_has_fifty_runs_and_no_more() -> None:
    progress = pending()
    for _ in range(MAX_RUNS - 1):
        progress = after(after(progress, Cancel(), 5), Rerun(), 6)
    assert len(progress.runs) == MAX_RUNS
    ended = after(
        after(progress, Claim("g", "w", 100), 7), Report(MAX_RUNS - 1, "exception", "worker-shutdown"), 8
    )
    assert (ended.state, ended.retries_left) == ("exception", 2)
    assert "50 runs" in conflict(ended, Rerun(), 9)


EVENTS = st.one_of(
    st.sampled_from([Schedule(), Cancel(), Rerun(), Sweep()]),
    st.builds(DependenciesMet, st.integers(1, 3)),
    st.builds(lambda d: Claim("g", "w", d), st.integers(1, 2 * DEADLINE)),
    st.builds(Reclaim, st.integers(-1, 4), st.integers(1, 2 * DEADLINE)),
    st.builds(lambda run: Report(run, "completed", "completed"), st.integers(-1, 4)),
    st.builds(lambda run: Report(run, "failed", "failed"), st.integers(-1, 4)),
    st.builds(
        lambda run, reason: Report(run, "exception", reason),
        st.integers(-1, 4),
        st.sampled_from(["worker-shutdown", "intermittent-task", "malformed-payload"]),
    ),
)
STEPS = st.lists(st.tuples(EVENTS, st.integers(0, DEADLINE // 4)), max_size=40)


@given(st.integers(0, 3), st.integers(0, 3), STEPS)
def test_after_any_events_the_invariants_hold(
    retries: int, unmet: int, steps: list[tuple[TaskEvent, int]]
) -> None:
    now = 0
    progress = pending(retries=retries, unmet=unmet)
    for event, passed in steps:
        now += passed
        verdict = decide(progress, event, now)
        if not isinstance(verdict, Changed):
            continue
        before, progress = progress, verdict.after
        assert progress != before
        assert [run.run_id for run in progress.runs] == list(range(len(progress.runs)))
        assert len(progress.runs) <= MAX_RUNS
        assert 0 <= progress.retries_left <= progress.retries
        assert all(run.state in RESOLVED for run in progress.runs[:-1])
        assert progress.state == (progress.runs[-1].state if progress.runs else "unscheduled")
        assert progress.runs[: len(before.runs) - 1] == before.runs[:-1], "what is resolved never changes"
        if before.state in RESOLVED:
            assert progress.runs[: len(before.runs)] == before.runs
        assert (due_ms(progress) is None) == (progress.state in RESOLVED)
        if isinstance(event, Claim | Reclaim):
            assert now < DEADLINE
