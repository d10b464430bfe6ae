"""Operations: the list, one with all that is frozen, compared and said on it, and saying yes or no to exactly that."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Final, cast, get_args

from liftlock.domain.approvals.approval import Approval, Method, Verdict
from liftlock.domain.operations.stages import OperationState
from liftlock.errors import InputValidationError, RequestArgumentsError
from liftlock.ports.operation_store import OperationQuery, OperationRecord
from liftlock.services.live_changes import LiveChanges
from liftlock.services.operations import Operations
from liftlock.services.operations_seen import OperationsSeen, Seen, Speaker
from liftlock.services.say_on_operation import SayOnOperation, Word
from liftlock.values.json import encode
from liftlock.web.pages.live import ALL, live_path
from liftlock.web.pages.page import Answer, Go, Page, PageRequest, Shown, number

PER_PAGE: Final = 50
STATES: Final = get_args(OperationState)
FILTERS: Final = ("project", "operation", "state")
MOST_FILES: Final = 500
LOOKS: Final[dict[str, str]] = {
    "building": "running",
    "waiting": "pending",
    "scheduled": "running",
    "done": "completed",
    "failed": "failed",
    "refused": "failed",
    "rejected": "failed",
    "voided": "exception",
    "expired": "exception",
    "cancelled": "exception",
}
"""A state of operations → the state of tasks that it looks like."""
_NEWEST: Final = 2**53


@dataclass(frozen=True, slots=True)
class Said:
    """A word with what became of it: `counts` as `key`, or not for `why`."""

    word: Approval
    key: str | None
    why: str | None


class OperationPages:
    """Answers for operations."""

    def __init__(
        self, operations: Operations, seen: OperationsSeen, say: SayOnOperation, changes: LiveChanges
    ) -> None:
        self._operations = operations
        self._seen = seen
        self._say = say
        self._changes = changes

    def routes(self) -> list[Page]:
        """Return the pages."""
        return [
            Page("GET", "/operations", self.list),
            Page("GET", "/passkey", self.passkey),
            Page("GET", "/operations/{operation}", self.show),
            Page("POST", "/operations/{operation}/say", self.say),
            Page("POST", "/operations/{operation}/cancel", self.cancel),
        ]

    async def list(self, request: PageRequest) -> Answer:
        configured = self._operations.configured(request.caller)
        after = await self._changes.last()
        found = await self._operations.find(request.caller, _query(request))
        more = len(found) > PER_PAGE
        found = found[:PER_PAGE]
        return Shown(
            "operations.html",
            {
                "configured": [
                    (one, request.caller.satisfies(f"liftlock:request:{one.name}")) for one in configured
                ],
                "found": found,
                "looks": LOOKS,
                "states": STATES,
                "filters": {name: request.query.get(name, "") for name in FILTERS},
                "older": request.here_with(before=str(found[-1].number)) if more else None,
                "live": live_path(after, operations=[ALL]),
            },
        )

    async def show(self, request: PageRequest) -> Answer:
        after = await self._changes.last()
        seen = await self._seen(request.caller, request.params["operation"], request.now)
        record = seen.shown.record
        mine = request.caller.client_id == record.requester
        return Shown(
            "operation.html",
            {
                "record": record,
                "seen": seen,
                "look": LOOKS[record.state],
                "tally": seen.shown.tally,
                "said": _said(seen),
                "files": [] if record.frozen is None else record.frozen.stage1.files[:MOST_FILES],
                "accepts_sessions": seen.operation is not None and seen.operation.approvals.accept_sessions,
                "speakers": [(one, _passkeys(one)) for one in seen.speakers],
                "may_cancel": record.state in ("building", "waiting", "scheduled")
                and (mine or request.caller.satisfies(f"liftlock:cancel:{record.operation}")),
                "command": _command(record),
                "live": live_path(after, operations=[record.operation_id]),
            },
        )

    async def say(self, request: PageRequest) -> Answer:
        verdict, method = request.field("verdict"), request.field("method")
        if verdict not in get_args(Verdict):
            raise InputValidationError("verdict: expected approve or reject")
        if method not in ("webauthn", "control-plane-attested"):
            raise InputValidationError("method: expected webauthn or control-plane-attested")
        word = Word(
            verdict=cast(Verdict, verdict),
            digest=request.field("digest"),
            approver=request.field("approver"),
            reason=request.field("reason"),
            method=cast(Method, method),
            proof=request.field("signature") if method == "webauthn" else "",
        )
        await self._say(request.caller, request.params["operation"], word, request.now)
        return Go(f"/operations/{request.params['operation']}")

    async def passkey(self, request: PageRequest) -> Answer:
        return Go("/sign-in?next=/passkey") if request.signed_in is None else Shown("passkey.html", {})

    async def cancel(self, request: PageRequest) -> Answer:
        await self._operations.cancel(request.caller, request.params["operation"], request.now)
        return Go(f"/operations/{request.params['operation']}")


def _query(request: PageRequest) -> OperationQuery:
    state = request.query.get("state") or None
    if state is not None and state not in STATES:
        raise RequestArgumentsError(f"state: expected one of {', '.join(STATES)}, got {state[:32]!r}")
    before = number(request.query.get("before"), 0, _NEWEST, "before")
    return OperationQuery(
        project=request.query.get("project") or None,
        operation=request.query.get("operation") or None,
        states=() if state is None else (cast(OperationState, state),),
        before_number=before or None,
        limit=PER_PAGE + 1,
    )


def _said(seen: Seen) -> list[Said]:
    """Return all words on what is frozen now, the oldest first, each with whether it counts."""
    tally = seen.shown.tally
    ignored = {} if tally is None else {each.approver: each.why for each in tally.ignored}
    approved = {} if tally is None else tally.approved
    rejected = () if tally is None else tally.rejected
    found = []
    for word in seen.shown.approvals:
        if word in seen.voided:
            found.append(Said(word, None, "voided: what it approved has changed"))
        elif word.verdict == "approve" and word.approver in approved:
            found.append(Said(word, approved[word.approver], None))
        elif word.verdict == "reject" and word.approver in rejected:
            found.append(Said(word, word.method, None))
        else:
            found.append(Said(word, None, ignored.get(word.approver, "it does not count")))
    return found


def _passkeys(speaker: Speaker) -> str:
    """Return the speaker's passkeys as the page's script takes them: public ids and where they may be used."""
    return encode(
        [{"id": one.credential_id, "rpId": one.rp_id, "origin": one.origin} for one in speaker.passkeys]
    ).decode()


def _command(record: OperationRecord) -> str:
    return shlex.join(
        ["liftlock", "approval", "approve", record.operation_id, "--key", "FILE", "--reason", "TEXT"]
    )
