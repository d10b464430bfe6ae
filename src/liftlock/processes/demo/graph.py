"""Watching a task group on the terminal until its tasks are resolved."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from liftlock.cli.client import Api
from liftlock.cli.failures import AnsweredError
from liftlock.processes.demo.report import DifferenceError

WAIT_LIMIT_S = 120.0
PAUSE_S = 0.2
RESOLVED = frozenset({"completed", "failed", "exception"})


@dataclass(frozen=True, slots=True)
class Task:
    """A task as its group lists it."""

    task_id: str
    label: str
    state: str
    definition: dict[str, Any]

    @property
    def is_resolved(self) -> bool:
        """Whether nothing will happen to it any more, unless somebody reruns it."""
        return self.state in RESOLVED


@dataclass(slots=True)
class Watch:
    """Follows groups through `api`, and tells `say` each change of a task's state once."""

    api: Api
    say: Callable[[str], None]
    _seen: dict[str, str]

    @classmethod
    def of(cls, api: Api, say: Callable[[str], None]) -> Watch:
        """Return a watch that has seen nothing yet."""
        return cls(api, say, {})

    def tasks(self, group: str) -> list[Task]:
        """Return the group's tasks in the order of their creation; an unknown group has none."""
        try:
            members = list(self.api.all_pages("queue", "task-group", group, "list", key="tasks"))
        except AnsweredError as error:
            if error.status == 404:
                return []
            raise
        found = [
            Task(
                one["status"]["taskId"], one["task"]["metadata"]["name"], one["status"]["state"], one["task"]
            )
            for one in members
        ]
        for task in found:
            if self._seen.get(task.task_id) != task.state:
                self._seen[task.task_id] = task.state
                self.say(f"  {task.state:<11} {task.label}  ({task.task_id})")
        return found

    def until(self, group: str, what: str, holds: Callable[[list[Task]], bool]) -> list[Task]:
        """Return the group's tasks as soon as `holds` is true of them.

        Raises:
            DifferenceError: that did not happen in time; the text says what was waited for and what was there.
        """
        began = time.monotonic()
        while True:
            tasks = self.tasks(group)
            if holds(tasks):
                return tasks
            if time.monotonic() - began > WAIT_LIMIT_S:
                there = ", ".join(f"{task.label} {task.state}" for task in tasks) or "no tasks"
                raise DifferenceError(
                    f"group {group}: waited {WAIT_LIMIT_S:.0f} s for {what}; there are {there}"
                )
            time.sleep(PAUSE_S)

    def until_resolved(self, group: str, task_ids: Iterable[str]) -> dict[str, Task]:
        """Return those tasks by id, once each is resolved."""
        wanted = set(task_ids)
        tasks = self.until(
            group,
            f"{len(wanted)} tasks to be resolved",
            lambda tasks: wanted <= {task.task_id for task in tasks if task.is_resolved},
        )
        return {task.task_id: task for task in tasks if task.task_id in wanted}

    def until_all_resolved(self, group: str, labels: Iterable[str]) -> list[Task]:
        """Return the group's tasks, once there is one with each label and all tasks of the group are resolved."""
        wanted = set(labels)
        return self.until(
            group,
            f"{', '.join(sorted(wanted))} to be resolved",
            lambda tasks: (
                wanted <= {task.label for task in tasks} and all(task.is_resolved for task in tasks)
            ),
        )
