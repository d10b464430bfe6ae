"""Who counts: n distinct people, never the requester, each by a signature over this very request, in time.

One function decides for everybody: the control plane, which shows it, and the privileged worker, which relies on it.

Source: docs/reference/approvals.md#counting
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from liftlock.domain.approvals.approval import Approval, Verified, verify_approval
from liftlock.domain.approvals.people import Approver
from liftlock.domain.approvals.request import FrozenRequest
from liftlock.errors import InputValidationError


class Rules(msgspec.Struct, frozen=True):
    """What an operation asks of its approvals; `people` by name."""

    need: int
    accept_sessions: bool
    people: Mapping[str, Approver]


class Ignored(msgspec.Struct, frozen=True):
    """An approval that does not count, and why."""

    approver: str
    why: str


class Tally(msgspec.Struct, frozen=True):
    """What was found: who approved (name → key, in the order of the first that counts), who rejected, what does not count."""

    need: int
    approved: dict[str, str]
    rejected: tuple[str, ...]
    ignored: tuple[Ignored, ...]
    expired: bool

    @property
    def missing(self) -> int:
        """How many more people have to approve."""
        return max(0, self.need - len(self.approved))

    @property
    def holds(self) -> bool:
        """Whether the request may be performed: enough people approved, nobody rejected, and in time."""
        return not self.missing and not self.rejected and not self.expired


def count(request: FrozenRequest, approvals: Iterable[Approval], rules: Rules, now: datetime) -> Tally:
    """Return the tally of `approvals` on `request` at `now`."""
    digest = request.digest
    approved: dict[str, str] = {}
    rejected: list[str] = []
    ignored: list[Ignored] = []
    for each in approvals:
        found = why_not(request, digest, each, rules)
        if isinstance(found, str):
            ignored.append(Ignored(each.approver, found))
        elif each.verdict == "reject":
            rejected.append(each.approver)
        else:
            approved.setdefault(each.approver, found.key)
    return Tally(rules.need, approved, tuple(rejected), tuple(ignored), expired=now >= request.expires)


def why_not(request: FrozenRequest, digest: str, approval: Approval, rules: Rules) -> Verified | str:
    """Return the key by which the approval counts, or why it does not count."""
    if (approval.digest, approval.operation_id, approval.operation) != (
        digest,
        request.operation_id,
        request.operation,
    ):
        return "it is for another request: what it approved has changed"
    if approval.at >= request.expires:
        return "it came too late"
    person = rules.people.get(approval.approver)
    barred = why_barred(approval.approver, person, request.operation, request.requester)
    if barred is not None or person is None:
        return barred or ""
    try:
        return verify_approval(approval, person, accept_sessions=rules.accept_sessions)
    except InputValidationError as error:
        return error.message


def why_barred(name: str, person: Approver | None, operation: str, requester: str) -> str | None:
    """Return why this person's word never counts for a request of `requester`, or None if it may."""
    if person is None:
        return f"there is no approver {name}"
    if not person.may_approve(operation):
        return f"{name} may not approve {operation}"
    if person.is_client(requester):
        return f"{name} is who asked for it; nobody approves themselves"
    return None
