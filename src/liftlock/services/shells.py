"""Shells of interactive tasks: what people type reaches the task's worker, and who typed is on record.

What the shell shows goes the way of live logs, and is an artifact in the end. Source: docs/reference/loaners.md
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from liftlock.domain.tasks.interactive import is_interactive
from liftlock.errors import ConflictError, InputInvalidError, NotFoundError
from liftlock.ports.clock import Clock
from liftlock.ports.shell_store import ShellInput, ShellSize, ShellStore
from liftlock.ports.task_store import TaskStore
from liftlock.ports.wakeups import Wakeups
from liftlock.services.authorize import Caller

MAX_BYTES: Final = 64 * 1024
"""Of one piece of input."""
LONG_POLL: Final = timedelta(seconds=20)
LOOK_EVERY_S: Final = 5.0
KEPT: Final = timedelta(days=1)
"""What was typed is in the terminal's record; the input itself is for the worker."""
_PIECES: Final = 100


class Shells:
    """Takes input from people, and gives it to workers."""

    def __init__(self, store: ShellStore, tasks: TaskStore, wakeups: Wakeups, clock: Clock) -> None:
        self._store = store
        self._tasks = tasks
        self._wakeups = wakeups
        self._clock = clock

    async def type(
        self, caller: Caller, task_id: str, run_id: int, data: bytes, size: ShellSize | None, now: datetime
    ) -> int:
        """Add `data` to what the run's shell reads; return the piece's number.

        The first piece of each person leaves an audit record; the record of all of them is the terminal's.

        Raises:
            RefusedError: the caller lacks `queue:attach-shell:<schedulerId>/<taskGroupId>/<taskId>`.
            NotFoundError: there is no such task.
            ConflictError: the run is not running, or the task has no shell.
            InputInvalidError: more than `MAX_BYTES`.
        """
        task = await self._tasks.task(task_id)
        if task is None:
            caller.require("queue:attach-shell:*")
            raise NotFoundError(f"task {task_id} does not exist")
        caller.require(f"queue:attach-shell:{task.scheduler_id}/{task.task_group_id}/{task_id}")
        if len(data) > MAX_BYTES:
            raise InputInvalidError(f"data: expected at most {MAX_BYTES} bytes, got {len(data)}")
        await self._expect_shell(task_id)
        known = await self._store.has_typed(task_id, run_id, caller.client_id)
        subject = f"task/{task_id}/{run_id}"
        audits = () if known else (caller.record("queue.attachShell", subject, "allowed"),)
        envelope = caller.envelope(now, *audits)
        return await self._store.type(task_id, run_id, data, size, caller.client_id, envelope)

    async def typed(
        self, caller: Caller, task_id: str, run_id: int, after: int, now: datetime
    ) -> list[ShellInput]:
        """Return what was typed after the piece `after` as soon as there is any, or nothing after `LONG_POLL`.

        Raises:
            RefusedError: these are not the credentials of that run.
            NotFoundError, ConflictError: there is no such task; that run is not running.
        """
        caller.require(f"queue:reclaim-task:{task_id}/{run_id}")
        task = await self._tasks.task(task_id)
        if task is None:
            raise NotFoundError(f"task {task_id} does not exist")
        runs = task.progress.runs
        if run_id >= len(runs) or runs[run_id].state != "running":
            raise ConflictError(f"run {run_id} of task {task_id} is not running")
        with self._wakeups.listen(f"shell:{task_id}/{run_id}") as ticket:
            while True:
                found = await self._store.typed(task_id, run_id, after, _PIECES)
                left = (now + LONG_POLL - self._clock.now()).total_seconds()
                if found or left <= 0:
                    return found
                await ticket.wait(min(left, LOOK_EVERY_S))

    async def step(self) -> None:
        """Forget what is old."""
        await self._store.forget(self._clock.now() - KEPT)

    async def _expect_shell(self, task_id: str) -> None:
        [stored] = await self._tasks.stored([task_id])
        if not is_interactive(stored.document["payload"]):
            raise ConflictError(f"task {task_id} has no shell: its payload does not ask for features.shell")
