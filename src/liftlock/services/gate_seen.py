"""The push gate as pages show it: its state, its latest verdicts, and what it makes of a bug, a message or a push.

All of it is asked from gated at that moment. The list of sensitive bugs stays there; who asks about one bug needs
`gate:explain:<repository>` for it, and is told no more than gated tells its operators.

Source: docs/reference/pages.md#gate
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import structlog

from liftlock.domain.pushes.push import Push
from liftlock.errors import LiftlockError
from liftlock.ports.gate_desk import GateDesk
from liftlock.services.authorize import Caller

SEE: Final = "gate:see"
EXPLAIN: Final = "gate:explain:"
MAX_ENTRIES: Final = 200
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the gate makes of a push's head by what it knows now. `passed`: why it was let in knowingly, if it was."""

    outcome: Literal["accept", "warn", "reject"]
    rules: tuple[str, ...]
    passed: str | None


class GateSeen:
    """Asks gated for those who may see it."""

    def __init__(self, desk: GateDesk) -> None:
        self._desk = desk

    async def status(self, caller: Caller) -> dict[str, Any]:
        """Return ages, firings and overrides; RefusedError without `gate:see`, ReceiverUnavailableError."""
        caller.require(SEE)
        return await self._desk.ask("status")

    async def entries(self, caller: Caller, kind: str | None) -> list[dict[str, Any]]:
        """Return the newest entries of gated's audit trail; errors as `status`."""
        caller.require(SEE)
        found: list[dict[str, Any]] = (await self._desk.ask("audit", limit=MAX_ENTRIES, kind=kind))["entries"]
        return found

    async def explain(
        self, caller: Caller, repository: str, *, bug: int | None, message: str | None, ref: str
    ) -> dict[str, Any]:
        """Return what gated knows of the bug, or makes of the message.

        Raises:
            RefusedError: the caller lacks `gate:explain:<repository>`.
            InputInvalidError, ReceiverUnavailableError: gated can't read it, or does not answer.
        """
        caller.require(EXPLAIN + repository)
        return await self._desk.ask("explain", repository=repository, bug=bug, message=message, ref=ref)

    async def opinions(self, caller: Caller, pushes: Iterable[Push]) -> dict[tuple[str, int], Opinion]:
        """Return what the gate makes of these pushes, by (project, number); of those that the caller may ask about.

        Where gated does not answer there is nothing: the list of pushes does not depend on it.
        """
        groups: dict[tuple[str, str], list[Push]] = {}
        for push in pushes:
            if caller.satisfies([SEE, EXPLAIN + push.project]):
                groups.setdefault((push.project, push.branch), []).append(push)
        found: dict[tuple[str, int], Opinion] = {}
        for (project, branch), some in groups.items():
            try:
                answer = await self._desk.ask(
                    "replay",
                    repository=project,
                    ref=f"refs/heads/{branch}",
                    commits=[{"revision": push.revision, "message": push.message} for push in some],
                )
            except LiftlockError as error:
                _log.info("the gate gave no opinion", project=project, code=error.code)
                return found
            if answer.get("known"):
                found |= {(project, push.id): _opinion(push.revision, answer) for push in some}
        return found


def _opinion(revision: str, answer: dict[str, Any]) -> Opinion:
    mine: Sequence[dict[str, Any]] = [one for one in answer["findings"] if one["revision"] == revision]
    severities = {one["severity"] for one in mine}
    outcome: Literal["accept", "warn", "reject"] = (
        "reject" if "reject" in severities else "warn" if "warn" in severities else "accept"
    )
    rules = tuple(dict.fromkeys(str(one["rule"]) for one in mine))
    return Opinion(outcome, rules, answer["passed"].get(revision))
