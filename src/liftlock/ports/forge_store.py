"""What came from the forge, what is to be done about it, and what the forge was told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import msgspec

from liftlock.ports.envelope import Envelope

WorkKind = Literal["command", "pull", "react", "comment", "check"]


class Delivery(msgspec.Struct, frozen=True):
    """A webhook that was believed; `delivery_id` is the forge's, and unique."""

    delivery_id: str
    event: str


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """Something to be done, at least once; `id` makes it one thing however often it is asked for. `body` is JSON."""

    id: str
    repository: int
    kind: WorkKind
    body: dict[str, Any]
    attempts: int = 0


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """An operation whose state the forge is told, or a decision task, whose id `operation_id` is then.

    `revision` is the head on which its check stands, `check_run` the check's number there; `told` the last state that was
    told. The three are what an incoming check is matched by. `number`: the pull request's; 0 where it is about a push.
    """

    operation_id: str
    repository: int
    number: int
    revision: str
    check_run: int | None = None
    told: str = ""
    ended: bool = False
    kind: Literal["operation", "decision"] = "operation"


class PullDecision(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a pull request at a revision; `attempt` counts from 1. As a record of an envelope it is stored.

    `decision`: started, refused, none or failed; `task_id` is that of its decision task.
    """

    repository: int
    number: int
    revision: str
    attempt: int
    project: str
    task_id: str
    decision: Literal["started", "refused", "none", "failed"]
    reason: str


class ForgeStore(Protocol):
    """The store of events from the forge."""

    async def receive(self, delivery: Delivery, works: Sequence[Work], envelope: Envelope) -> None:
        """Store the delivery and the work that follows.

        Raises:
            ConflictError: a delivery of this id was received before; nothing was stored.
        """
        ...

    async def due(self, now_ms: int, limit: int) -> list[Work]:
        """Return work that is due, the oldest first."""
        ...

    async def finish(self, work_id: str, outcome: str, works: Sequence[Work], envelope: Envelope) -> None:
        """Mark the work done, with what came of it, and store what follows; what is stored already stays as it is."""
        ...

    async def put_off(self, work_id: str, due_ms: int, outcome: str) -> None:
        """Count a failed attempt; the work is due again at `due_ms`."""
        ...

    async def watch(self, watch: Watch, works: Sequence[Work], envelope: Envelope) -> None:
        """Store the watch in place of the operation's old one, and the work that follows."""
        ...

    async def watched(self, operation_id: str) -> Watch | None:
        """Return the operation's watch, or None."""
        ...

    async def open_watches(self, limit: int) -> list[Watch]:
        """Return watches of operations that have not ended, by id."""
        ...

    async def watches_of(self, repository: int, number: int) -> list[Watch]:
        """Return the watches of a pull request, sorted by operation."""
        ...

    async def watch_of_check(self, repository: int, check_run: int) -> Watch | None:
        """Return the watch whose check has this number, or None."""
        ...

    async def pull_decision(self, repository: int, number: int) -> PullDecision | None:
        """Return what was decided last for the pull request, or None."""
        ...

    async def forget(self, before_ms: int) -> int:
        """Forget deliveries of before then, and work that was done for events of before then; return how many there were."""
        ...

    async def decide(self, decision: PullDecision, envelope: Envelope) -> None:
        """Store a decision that started no task; one of the same revision and attempt stays as it is."""
        ...
