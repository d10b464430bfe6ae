"""The life of a task as a pure state machine: a snapshot, an event and an instant give a verdict.

A task is unscheduled, pending, running, completed, failed or exception; its state is that of its last run. Every
instant is in whole milliseconds since 1970, as the store keeps them. All intervals are half-open: a lease is over
*at* `taken_until_ms`, a task is over *at* `deadline_ms`.

Source: docs/reference/queue.md#states
"""

from __future__ import annotations

from typing import Literal, assert_never

import msgspec

from liftlock.values.instants import format_ms

State = Literal["unscheduled", "pending", "running", "completed", "failed", "exception"]
RunState = Literal["pending", "running", "completed", "failed", "exception"]
ReasonCreated = Literal["scheduled", "retry", "task-retry", "rerun", "exception"]

MAX_RUNS = 50
RESOLVED: frozenset[str] = frozenset({"completed", "failed", "exception"})
_RETRIED: dict[str, ReasonCreated] = {
    "claim-expired": "retry",
    "worker-shutdown": "retry",
    "intermittent-task": "task-retry",
}
"""Why a run ended → why the next one is made, while retries are left."""


class Run(msgspec.Struct, frozen=True, array_like=True):
    """One attempt. Instants are milliseconds since 1970; None while they have not come."""

    run_id: int
    state: RunState
    reason_created: ReasonCreated
    scheduled_ms: int
    worker_group: str | None = None
    worker_id: str | None = None
    taken_until_ms: int | None = None
    started_ms: int | None = None
    resolved_ms: int | None = None
    reason_resolved: str | None = None


class Progress(msgspec.Struct, frozen=True):
    """The part of a task that changes, with the limits that bound its change.

    `unmet` counts dependencies not yet satisfied; `retries` is what a rerun resets `retries_left` to.
    """

    state: State
    runs: tuple[Run, ...]
    retries_left: int
    unmet: int
    retries: int
    deadline_ms: int


class Schedule(msgspec.Struct, frozen=True):
    """Somebody wants it to run although dependencies are unmet."""


class Claim(msgspec.Struct, frozen=True):
    """A worker takes the pending run until `until_ms`."""

    worker_group: str
    worker_id: str
    until_ms: int


class Reclaim(msgspec.Struct, frozen=True):
    """The worker of run `run_id` goes on until `until_ms`."""

    run_id: int
    until_ms: int


class Report(msgspec.Struct, frozen=True):
    """The worker of run `run_id` says how it ended; `reason` equals `state` unless that is `exception`."""

    run_id: int
    state: Literal["completed", "failed", "exception"]
    reason: str


class Cancel(msgspec.Struct, frozen=True):
    """Somebody wants it to stop."""


class Rerun(msgspec.Struct, frozen=True):
    """Somebody wants one more run."""


class DependenciesMet(msgspec.Struct, frozen=True):
    """`count` more of its dependencies are satisfied."""

    count: int


class Sweep(msgspec.Struct, frozen=True):
    """Time has passed: the lease or the deadline may be over."""


TaskEvent = Schedule | Claim | Reclaim | Report | Cancel | Rerun | DependenciesMet | Sweep


class Changed(msgspec.Struct, frozen=True):
    """The event takes effect: store `after`."""

    after: Progress


class Unchanged(msgspec.Struct, frozen=True):
    """Nothing is to be done, and that is fine: the event was repeated, or has nothing to act on."""


class Conflict(msgspec.Struct, frozen=True):
    """The event contradicts the task's state; `message` says how."""

    message: str


Verdict = Changed | Unchanged | Conflict


def begin(*, retries: int, deadline_ms: int, unmet: int, now_ms: int) -> Progress:
    """Return the progress of a task just created: pending if no dependency is unmet, else unscheduled."""
    fresh = Progress("unscheduled", (), retries, unmet, retries, deadline_ms)
    return fresh if unmet else _with_new_run(fresh, "scheduled", now_ms)


def due_ms(progress: Progress) -> int | None:
    """Return when `Sweep` next changes this task, or None if it is resolved."""
    if progress.state in RESOLVED:
        return None
    if progress.state == "running":
        return min(progress.deadline_ms, progress.runs[-1].taken_until_ms or progress.deadline_ms)
    return progress.deadline_ms


def decide(progress: Progress, event: TaskEvent, now_ms: int) -> Verdict:
    """Return what `event` at `now_ms` does to the task."""
    match event:
        case Schedule() | Cancel() | Rerun():
            if now_ms >= progress.deadline_ms:
                return Conflict(f"the task's deadline {format_ms(progress.deadline_ms)} has passed")
            return _asked(progress, event, now_ms)
        case Claim():
            return _claim(progress, event, now_ms)
        case Reclaim() | Report():
            return _by_worker(progress, event, now_ms)
        case DependenciesMet():
            return _dependencies_met(progress, event.count, now_ms)
        case Sweep():
            return _sweep(progress, now_ms)
        case _:
            assert_never(event)


def _asked(progress: Progress, event: Schedule | Cancel | Rerun, now_ms: int) -> Verdict:
    match event:
        case Schedule():
            if progress.state != "unscheduled":
                return Unchanged()
            return Changed(_with_new_run(progress, "scheduled", now_ms))
        case Cancel():
            if progress.state in RESOLVED:
                return Unchanged()
            return Changed(_resolved(progress, "exception", "canceled", now_ms))
        case Rerun():
            return _rerun(progress, now_ms)
        case _:
            assert_never(event)


def _rerun(progress: Progress, now_ms: int) -> Verdict:
    if progress.state in ("pending", "running"):
        return Unchanged()
    if len(progress.runs) >= MAX_RUNS:
        return Conflict(f"the task has had {MAX_RUNS} runs, which is the limit; create a new task")
    reset = msgspec.structs.replace(progress, retries_left=progress.retries)
    return Changed(_with_new_run(reset, "rerun" if progress.runs else "scheduled", now_ms))


def _claim(progress: Progress, claim: Claim, now_ms: int) -> Verdict:
    if progress.state != "pending" or now_ms >= progress.deadline_ms:
        return Conflict("the task is not waiting to be claimed")
    run = msgspec.structs.replace(
        progress.runs[-1],
        state="running",
        worker_group=claim.worker_group,
        worker_id=claim.worker_id,
        taken_until_ms=claim.until_ms,
        started_ms=now_ms,
    )
    return Changed(_with_last(progress, run))


def _by_worker(progress: Progress, event: Reclaim | Report, now_ms: int) -> Verdict:
    if not 0 <= event.run_id < len(progress.runs):
        return Conflict(f"the task has no run {event.run_id}")
    run = progress.runs[event.run_id]
    if isinstance(event, Report) and (run.state, run.reason_resolved) == (event.state, event.reason):
        return Unchanged()
    fence = _fence(progress, run, now_ms)
    if fence is not None:
        return fence
    match event:
        case Reclaim():
            return Changed(_with_last(progress, msgspec.structs.replace(run, taken_until_ms=event.until_ms)))
        case Report():
            return Changed(_resolved(progress, event.state, event.reason, now_ms))
        case _:
            assert_never(event)


def _fence(progress: Progress, run: Run, now_ms: int) -> Conflict | None:
    """Return None if the run's worker still holds it, else why it must stop."""
    if run.state != "running":
        ended = f"{run.state} ({run.reason_resolved})" if run.state in RESOLVED else run.state
        return Conflict(f"run {run.run_id} is not running but {ended}; stop working on it")
    if now_ms >= progress.deadline_ms:
        return Conflict(
            f"the task's deadline {format_ms(progress.deadline_ms)} has passed; stop working on it"
        )
    if run.taken_until_ms is None or now_ms >= run.taken_until_ms:
        return Conflict(f"the claim on run {run.run_id} has lapsed; stop working on it")
    return None


def _dependencies_met(progress: Progress, count: int, now_ms: int) -> Verdict:
    unmet = max(0, progress.unmet - count)
    if unmet == progress.unmet:
        return Unchanged()
    closer = msgspec.structs.replace(progress, unmet=unmet)
    if unmet or progress.state != "unscheduled" or now_ms >= progress.deadline_ms:
        return Changed(closer)
    return Changed(_with_new_run(closer, "scheduled", now_ms))


def _sweep(progress: Progress, now_ms: int) -> Verdict:
    if progress.state in RESOLVED:
        return Unchanged()
    if now_ms >= progress.deadline_ms:
        return Changed(_resolved(progress, "exception", "deadline-exceeded", now_ms))
    if progress.state == "running" and now_ms >= (progress.runs[-1].taken_until_ms or 0):
        return Changed(_resolved(progress, "exception", "claim-expired", now_ms))
    return Unchanged()


def _resolved(progress: Progress, state: RunState, reason: str, now_ms: int) -> Progress:
    """Return `progress` with its last run resolved, and a further run if the reason is one to retry."""
    if not progress.runs:
        only = Run(0, state, "exception", now_ms, resolved_ms=now_ms, reason_resolved=reason)
        return msgspec.structs.replace(progress, state=state, runs=(only,))
    run = msgspec.structs.replace(progress.runs[-1], state=state, resolved_ms=now_ms, reason_resolved=reason)
    after = _with_last(progress, run)
    again = _RETRIED.get(reason)
    if again is None or progress.retries_left == 0 or len(progress.runs) >= MAX_RUNS:
        return after
    return _with_new_run(msgspec.structs.replace(after, retries_left=after.retries_left - 1), again, now_ms)


def _with_last(progress: Progress, run: Run) -> Progress:
    return msgspec.structs.replace(progress, state=run.state, runs=(*progress.runs[:-1], run))


def _with_new_run(progress: Progress, reason: ReasonCreated, now_ms: int) -> Progress:
    run = Run(len(progress.runs), "pending", reason, now_ms)
    return msgspec.structs.replace(progress, state="pending", runs=(*progress.runs, run))
