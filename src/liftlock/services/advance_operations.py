"""The loop that drives operations: from a finished stage 1 to the frozen request, to stage 2 once it is approved, to the end.

Every step is decided on what is stored, and repeats safely: whichever process dies at whichever moment, the next turn
of the loop goes on from there. Nothing is remembered between turns but when a branch was looked at.

Source: docs/reference/operations.md#states
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog

from liftlock.domain.approvals.counting import Rules, Tally, count
from liftlock.domain.approvals.request import FrozenRequest
from liftlock.domain.operations.definition import Operation, pull_of
from liftlock.domain.operations.freezing import Broken, ChainBytes, Facts, Stored, freeze
from liftlock.domain.operations.stages import Impossible, OperationEvent, after
from liftlock.domain.tasks.statuses import Task
from liftlock.errors import ConflictError, LiftlockError, NotFoundError
from liftlock.ports.clock import Clock
from liftlock.ports.envelope import AuditRecord, Envelope, Event
from liftlock.ports.leases import Leases
from liftlock.ports.operation_store import Move, OperationRecord, OperationStore
from liftlock.ports.push_store import PushStore
from liftlock.ports.repository import Repository
from liftlock.ports.task_store import TaskStore
from liftlock.ports.trusted_keys import TrustedKeys
from liftlock.services.configured_operations import ACTOR, ConfiguredOperations
from liftlock.services.observe_push import ObservePush
from liftlock.services.request_operation import TOPIC, asked_of
from liftlock.services.stage_two import StageTwo

CHANNEL: Final = "operations"
LEASE: Final = timedelta(seconds=30)
BATCH: Final = 100
_log = structlog.get_logger(__name__)


class StageOneEvidence(Protocol):
    """What stage 1 left; see `stage_one_run`."""

    async def chain(self, task_id: str, run_id: int) -> ChainBytes | Broken:
        """Return the chain of trust and its signature, or why there is none."""
        ...

    async def stored(self, task_id: str, run_id: int) -> Mapping[str, Stored]:
        """Return artifact → what is stored, of what would cross."""
        ...


class AdvanceOperations:
    """Takes every operation that has not ended one step further."""

    def __init__(
        self,
        configured: ConfiguredOperations,
        store: OperationStore,
        tasks: TaskStore,
        stage_two: StageTwo,
        run: StageOneEvidence,
        keys: TrustedKeys,
        pushes: PushStore,
        observe: ObservePush,
        repository: Repository,
        leases: Leases,
        clock: Clock,
        *,
        holder: str,
    ) -> None:
        self._configured = configured
        self._store = store
        self._tasks = tasks
        self._stage_two = stage_two
        self._run = run
        self._keys = keys
        self._pushes = pushes
        self._observe = observe
        self._repository = repository
        self._leases = leases
        self._clock = clock
        self._holder = holder

    async def step(self) -> int:
        """Look at all operations that have not ended; return how many changed. One control plane at a time does it."""
        changed, reached = 0, 0
        while page := await self._store.unfinished(reached, BATCH):
            held = await self._leases.hold(
                "advance operations", self._holder, now=self._clock.now(), duration=LEASE
            )
            if not held:
                return changed
            for record in page:
                changed += await self._quietly(record)
            reached = page[-1].number
        return changed

    async def _quietly(self, record: OperationRecord) -> bool:
        """Advance one; what goes wrong with it is logged and must not hold up the others."""
        try:
            return await self.advance(record, self._clock.now())
        except ConflictError as error:
            _log.info("an operation changed meanwhile", operation=record.operation_id, error=error.message)
            return False
        except LiftlockError as error:
            _log.error(
                "an operation could not be advanced",
                operation=record.operation_id,
                code=error.code,
                error=error.message,
            )
            return False

    async def advance(self, record: OperationRecord, now: datetime) -> bool:
        """Take the operation one step further at `now`; return whether its state changed."""
        operation = self._configured.find(record.operation)
        if record.state != "scheduled":
            changed = self._configuration_changed(record, operation)
            if changed or operation is None:
                return await self._end(record, "changed", changed, now)
        if record.state == "building" and operation is not None:
            return await self._build(record, operation, now)
        if record.state == "waiting" and operation is not None:
            return await self._wait(record, operation, now)
        return await self._perform(record, now)

    def _configuration_changed(self, record: OperationRecord, operation: Operation | None) -> str:
        if operation is None:
            return "the operation is not configured any more"
        if operation.version != record.operation_version:
            return "the operation's configuration has changed since it was asked for"
        if self._configured.hook(operation.name).definition.version != record.hook_version:
            return "the operation's hook has changed since it was asked for"
        return ""

    async def _build(self, record: OperationRecord, operation: Operation, now: datetime) -> bool:
        await self._stage_two.ensure(record, now)
        stage_one = await self._task(record.stage1_task_id)
        if stage_one.progress.state in ("failed", "exception"):
            reason = stage_one.progress.runs[-1].reason_resolved if stage_one.progress.runs else "no run"
            return await self._end(record, "failed", f"stage 1 ended as {reason}; see its log", now)
        if stage_one.progress.state != "completed":
            return False
        run_id = stage_one.progress.runs[-1].run_id
        chain = await self._run.chain(record.stage1_task_id, run_id)
        if isinstance(chain, Broken):
            return await self._refuse(record, chain, now)
        facts = Facts(
            asked=asked_of(record),
            requester=record.requester,
            requested=record.created,
            stage1_task_id=record.stage1_task_id,
            stage2_task_id=record.stage2_task_id,
            expires=record.expires,
        )
        stored = await self._run.stored(record.stage1_task_id, run_id)
        hook = self._configured.hook(operation.name)
        frozen = freeze(operation, hook, facts, chain, stored, self._keys.current())
        if isinstance(frozen, Broken):
            return await self._refuse(record, frozen, now)
        why = f"waits for {operation.approvals.need} approvals of sha256:{frozen.digest}"
        move = Move(
            operation_id=record.operation_id, before="building", after="waiting", why=why, frozen=frozen
        )
        await self._move(record, move, "frozen", {"digest": frozen.digest}, now)
        return True

    async def _wait(self, record: OperationRecord, operation: Operation, now: datetime) -> bool:
        frozen = record.frozen
        if frozen is None:
            raise ConflictError(f"operation {record.operation_id} waits without a frozen request")
        changed = await self._rerun(record, frozen) or await self._moved(record, operation, look=False)
        if changed:
            return await self._end(record, "changed", changed, now)
        tally = count(frozen, await self._store.approvals(record.operation_id), self.rules(operation), now)
        if tally.rejected:
            return await self._end(record, "rejected", f"rejected by {', '.join(tally.rejected)}", now)
        if tally.expired:
            return await self._end(record, "too-late", "it was not approved in time", now)
        if not tally.holds:
            return False
        changed = await self._moved(record, operation, look=True)
        return await (
            self._end(record, "changed", changed, now) if changed else self._approve(record, tally, now)
        )

    async def _rerun(self, record: OperationRecord, frozen: FrozenRequest) -> str:
        """Return that stage 1 was run again; empty if the frozen run is its last."""
        runs = (await self._task(record.stage1_task_id)).progress.runs
        if runs and runs[-1].run_id == frozen.stage1.run_id:
            return ""
        return "stage 1 was run again after the request was frozen"

    async def _approve(self, record: OperationRecord, tally: Tally, now: datetime) -> bool:
        by = ", ".join(tally.approved) or "nobody, as it is configured"
        move = Move(
            operation_id=record.operation_id, before="waiting", after="scheduled", why=f"approved by {by}"
        )
        await self._move(record, move, "approved", {"digest": record.digest, "approved": tally.approved}, now)
        await self._stage_two.schedule(record, now)
        return True

    async def _perform(self, record: OperationRecord, now: datetime) -> bool:
        stage_two = await self._task(record.stage2_task_id)
        state = stage_two.progress.state
        if state == "unscheduled":
            await self._stage_two.schedule(record, now)
            return False
        if state in ("failed", "exception"):
            reason = stage_two.progress.runs[-1].reason_resolved if stage_two.progress.runs else "no run"
            return await self._end(record, "failed", f"stage 2 ended as {reason}; see its log", now)
        if state == "completed":
            return await self._end(record, "performed", "performed by the privileged worker", now)
        return False

    def rules(self, operation: Operation) -> Rules:
        """Return what the operation asks of its approvals."""
        asked = operation.approvals
        return Rules(asked.need, asked.accept_sessions, self._configured.told.approvers)

    async def _moved(self, record: OperationRecord, operation: Operation, *, look: bool) -> str:
        """Return how the branch moved on, empty if it did not; `look`: in the repository itself, not in the push log."""
        if not operation.approvals.void_on_move:
            return ""
        number = pull_of(record.ref)
        if number is not None:
            return await self._pull_moved(record, number) if look else ""
        if look:
            project = await self._pushes.project(record.project)
            if project is not None:
                await self._observe(project, ())
        heads = await self._pushes.heads(record.project)
        head = heads.get(record.ref)
        if head is None or head == record.revision:
            return ""
        return f"{record.ref} has moved to {head}: what was frozen is {record.revision}"

    async def _pull_moved(self, record: OperationRecord, number: int) -> str:
        project = await self._pushes.project(record.project)
        if project is None:
            return f"project {record.project} is not registered any more"
        head = await self._repository.fetch_pull(project, number)
        if head == record.revision:
            return ""
        return f"{record.ref} has moved to {head}: what was frozen is {record.revision}"

    async def _task(self, task_id: str) -> Task:
        found = await self._tasks.task(task_id)
        if found is None:
            raise NotFoundError(f"task {task_id} of the operation is gone")
        return found

    async def _refuse(self, record: OperationRecord, broken: Broken, now: datetime) -> bool:
        what = f"{broken.path}: " if broken.path else ""
        return await self._end(record, "contract-broken", f"{broken.rule}: {what}{broken.message}", now)

    async def _end(self, record: OperationRecord, event: OperationEvent, why: str, now: datetime) -> bool:
        """End the operation: its tasks first, so that a process that dies in between leaves nothing running."""
        state = after(record.state, event)
        if isinstance(state, Impossible):
            raise ConflictError(state.message)
        if event != "performed":
            await self._stage_two.cancel(record, now)
        move = Move(operation_id=record.operation_id, before=record.state, after=state, why=why)
        await self._move(record, move, event, {"digest": record.digest}, now)
        return True

    async def _move(
        self,
        record: OperationRecord,
        move: Move,
        event: OperationEvent,
        details: dict[str, object],
        now: datetime,
    ) -> None:
        good = event in ("frozen", "approved", "performed")
        audit = AuditRecord(
            ACTOR,
            f"operations.{event}",
            f"operation/{record.operation_id}",
            "allowed" if good else "refused",
            {"operation": record.operation, "state": move.after, "why": move.why, **details},
        )
        told = Event(
            TOPIC,
            record.operation_id,
            {"operation": record.operation, "state": move.after, "why": move.why},
        )
        await self._store.move(move, Envelope(now, audit=(audit,), events=(told,)))
