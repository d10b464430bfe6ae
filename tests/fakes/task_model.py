"""A task queue as simple as can be, to compare the real store with: dictionaries, minutes, and the rules in plain words."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

LEASE_MIN = 20
FINAL = ("completed", "failed", "exception")


@dataclass
class ModelRun:
    """One run, as the store must show it."""

    state: str
    created: str
    resolved: str | None = None
    worker: str | None = None
    until: int | None = None


@dataclass
class ModelTask:
    """One task; `waits` is its place in the queue while it is pending."""

    task_id: str
    number: int
    needs: set[str]
    any_resolution: bool
    retries: int
    rank: int
    deadline: int
    retries_left: int = 0
    waits: int = 0
    runs: list[ModelRun] = field(default_factory=list)

    @property
    def state(self) -> str:
        return self.runs[-1].state if self.runs else "unscheduled"


class Refused(Exception):  # noqa: N818 -- the model's only refusal
    """The model says no."""


class TaskModel:
    """All tasks and the present minute."""

    def __init__(self) -> None:
        self.now = 0
        self.tasks: dict[str, ModelTask] = {}
        self._places = itertools.count(1)

    def create(self, task: ModelTask) -> None:
        task.retries_left = task.retries
        task.needs -= {
            other
            for other in task.needs
            if other != task.task_id and self._satisfies(self.tasks[other], task)
        }
        self.tasks[task.task_id] = task
        if not task.needs:
            self._wait(task, "scheduled")

    def claim(self, count: int, worker: str) -> list[str]:
        waiting = [
            task for task in self.tasks.values() if task.state == "pending" and task.deadline > self.now
        ]
        taken = sorted(waiting, key=lambda task: (task.rank, task.waits))[:count]
        for task in taken:
            run = task.runs[-1]
            run.state, run.worker, run.until = "running", worker, self.now + LEASE_MIN
        return [task.task_id for task in taken]

    def reclaim(self, task_id: str, run: int) -> None:
        self._held(task_id, run).until = self.now + LEASE_MIN

    def report(self, task_id: str, run: int, state: str, reason: str) -> None:
        task = self.tasks[task_id]
        if run < len(task.runs) and (task.runs[run].state, task.runs[run].resolved) == (state, reason):
            return
        self._held(task_id, run)
        self._resolve(task, state, reason)

    def cancel(self, task_id: str) -> None:
        task = self._before_deadline(task_id)
        if task.state not in FINAL:
            self._resolve(task, "exception", "canceled")

    def rerun(self, task_id: str) -> None:
        task = self._before_deadline(task_id)
        if task.state in ("pending", "running"):
            return
        task.retries_left = task.retries
        self._wait(task, "rerun" if task.runs else "scheduled")

    def schedule(self, task_id: str) -> None:
        task = self._before_deadline(task_id)
        if task.state == "unscheduled":
            self._wait(task, "scheduled")

    def change_rank(self, task_id: str, rank: int) -> None:
        task = self.tasks[task_id]
        if task.state in FINAL:
            raise Refused
        task.rank = rank

    def sweep(self) -> None:
        for task in sorted(self.tasks.values(), key=lambda one: (self._due(one), one.number)):
            if task.state in FINAL or self._due(task) > self.now:
                continue
            self._resolve(
                task, "exception", "deadline-exceeded" if self.now >= task.deadline else "claim-expired"
            )

    def _due(self, task: ModelTask) -> int:
        until = task.runs[-1].until if task.state == "running" else None
        return task.deadline if until is None else min(until, task.deadline)

    def _before_deadline(self, task_id: str) -> ModelTask:
        task = self.tasks[task_id]
        if self.now >= task.deadline:
            raise Refused
        return task

    def _held(self, task_id: str, number: int) -> ModelRun:
        task = self.tasks[task_id]
        if number >= len(task.runs):
            raise Refused
        run = task.runs[number]
        if run.state != "running" or self.now >= task.deadline or self.now >= (run.until or 0):
            raise Refused
        return run

    def _wait(self, task: ModelTask, created: str) -> None:
        task.runs.append(ModelRun("pending", created))
        task.waits = next(self._places)

    def _resolve(self, task: ModelTask, state: str, reason: str) -> None:
        if not task.runs:
            task.runs.append(ModelRun(state, "exception", reason))
        task.runs[-1].state, task.runs[-1].resolved = state, reason
        again = {"claim-expired": "retry", "worker-shutdown": "retry", "intermittent-task": "task-retry"}.get(
            reason
        )
        if again and task.retries_left:
            task.retries_left -= 1
            self._wait(task, again)
            return
        for other in sorted(self.tasks.values(), key=lambda one: one.task_id):
            if task.task_id in other.needs and self._satisfies(task, other):
                other.needs.discard(task.task_id)
                if not other.needs and other.state == "unscheduled" and self.now < other.deadline:
                    self._wait(other, "scheduled")

    @staticmethod
    def _satisfies(needed: ModelTask, by: ModelTask) -> bool:
        return needed.state == "completed" or (by.any_resolution and needed.state in FINAL)
