"""The states of an operation: what leads where, and that an end is an end."""

from __future__ import annotations

from typing import get_args

from liftlock.domain.operations.stages import UNFINISHED, Impossible, OperationEvent, OperationState, after

STATES: tuple[OperationState, ...] = get_args(OperationState)
EVENTS: tuple[OperationEvent, ...] = get_args(OperationEvent)


def test_stage_two_is_reached_by_freezing_and_approval_and_in_no_other_way() -> None:
    ways = {(state, event) for state in STATES for event in EVENTS if after(state, event) == "scheduled"}
    assert ways == {("waiting", "approved")}
    assert {state for state in STATES if after(state, "frozen") == "waiting"} == {"building"}


def test_an_end_is_an_end() -> None:
    for state in set(STATES) - set(UNFINISHED):
        for event in EVENTS:
            found = after(state, event)
            assert isinstance(found, Impossible)
            assert found.message.endswith("it has ended")


def test_every_state_can_be_reached_and_every_one_that_waits_can_be_cancelled() -> None:
    reached = {"building"}
    for _ in STATES:
        reached |= {
            found
            for state in STATES
            if state in reached
            for event in EVENTS
            if not isinstance(found := after(state, event), Impossible)
        }
    assert reached == set(STATES)
    assert all(after(state, "cancel") == "cancelled" for state in UNFINISHED)
