"""How far an operation has come, as a pure state machine: a state and an event give the next state, or a refusal.

building: stage 1 is to run · waiting: frozen, approvals are awaited · scheduled: stage 2 may run · the rest is the end.

Source: docs/reference/operations.md#states
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

OperationState = Literal[
    "building",
    "waiting",
    "scheduled",
    "done",
    "failed",
    "refused",
    "rejected",
    "voided",
    "expired",
    "cancelled",
]
OperationEvent = Literal[
    "frozen",
    "approved",
    "performed",
    "failed",
    "contract-broken",
    "rejected",
    "changed",
    "too-late",
    "cancel",
]
UNFINISHED: Final[tuple[OperationState, ...]] = ("building", "waiting", "scheduled")
_NEXT: Final[dict[tuple[OperationState, OperationEvent], OperationState]] = {
    ("building", "frozen"): "waiting",
    ("building", "failed"): "failed",
    ("building", "contract-broken"): "refused",
    ("building", "changed"): "voided",
    ("building", "cancel"): "cancelled",
    ("waiting", "approved"): "scheduled",
    ("waiting", "rejected"): "rejected",
    ("waiting", "changed"): "voided",
    ("waiting", "too-late"): "expired",
    ("waiting", "failed"): "failed",
    ("waiting", "cancel"): "cancelled",
    ("scheduled", "performed"): "done",
    ("scheduled", "failed"): "failed",
    ("scheduled", "cancel"): "cancelled",
}


class Impossible(msgspec.Struct, frozen=True):
    """The event contradicts the state; `message` says how."""

    message: str


def after(state: OperationState, event: OperationEvent) -> OperationState | Impossible:
    """Return the state that follows `event`."""
    found = _NEXT.get((state, event))
    if found is not None:
        return found
    why = "it has ended" if state not in UNFINISHED else "that does not happen in this state"
    return Impossible(f"the operation is {state}: {event} changes nothing, {why}")
