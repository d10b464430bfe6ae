"""What the demo's scenes share: the system, its people, and what earlier scenes left for later ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from liftlock.adapters.system.clock import SystemClock
from liftlock.adapters.system.entropy import SystemEntropy
from liftlock.cli.failures import AnsweredError
from liftlock.cli.profiles import Profile
from liftlock.processes.demo.graph import Task, Watch
from liftlock.processes.demo.people import Person
from liftlock.processes.demo.report import DifferenceError, Report
from liftlock.processes.demo.repository import Repository
from liftlock.processes.demo.server import Server
from liftlock.values.instants import format_instant

BUILD, FIRST_TEST, SECOND_TEST = "build-dist", "test-unit-1", "test-unit-2"
ORDINARY = (BUILD, FIRST_TEST, SECOND_TEST)
QUOTED_LINES = 8
MEASUREMENT, PROMOTION = "measure-speed", "promote-release"


@dataclass(slots=True)
class Pushed:
    """A push as the push log has it: its number, the revision, and the decision task, whose id is the group's."""

    number: int
    revision: str
    group: str
    tasks: dict[str, Task] = field(default_factory=dict)
    """The tasks of the graph by label, once they are resolved."""


@dataclass(slots=True)
class Stage:
    """`say` writes a line for people; `folder` holds everything that the demo makes."""

    folder: Path
    server: Server
    repository: Repository
    report: Report
    say: Callable[[str], None]
    root: Person
    watch: Watch
    release_key: str = field(default="", repr=False)
    pushes: list[Pushed] = field(default_factory=list)
    addresses: list[tuple[str, str]] = field(default_factory=list)
    failed_tasks: list[str] = field(default_factory=list)
    """Ids of tasks whose logs explain a failure."""

    @property
    def latest(self) -> Pushed:
        """The newest push."""
        if not self.pushes:
            raise DifferenceError("nothing was pushed")
        return self.pushes[-1]

    def person(self, name: str, profile: Profile) -> Person:
        """Return a person with an empty home of their own."""
        return Person.of(name, profile, self.folder / "homes" / name, self.say)

    def quote(self, text: str) -> None:
        """Show the beginning of what liftlock said, up to the rule before its details of the request."""
        lines = [line for line in text.partition("\n---")[0].splitlines() if line.strip()]
        for line in lines[:QUOTED_LINES]:
            self.say(f"  | {line}")

    def task(self, label: str) -> Task:
        """Return the newest push's task with that label."""
        found = self.latest.tasks.get(label)
        if found is None:
            raise DifferenceError(f"the newest push has no task {label}")
        return found

    def run_task(
        self, name: str, payload: dict[str, Any], scheduler: str = "-", *, scopes: Sequence[str] = ()
    ) -> tuple[str, Task]:
        """Create a task of the operator's with `payload`; return its id and the task, resolved."""
        now, task_id = SystemClock().now(), SystemEntropy().slugid()
        definition = {
            "taskQueueId": "local/unprivileged",
            "schedulerId": scheduler,
            "created": format_instant(now),
            "deadline": format_instant(now + timedelta(minutes=10)),
            "expires": format_instant(now + timedelta(days=1)),
            "retries": 0,
            "scopes": list(scopes),
            "metadata": {
                "name": name,
                "description": "A task of the operator's",
                "owner": "operator@example.com",
                "source": "https://example.com/liftlock/demo",
            },
            "payload": payload,
        }
        self.root.api.put("queue", "task", task_id, payload=definition)
        [task] = self.watch.until_resolved(task_id, [task_id]).values()
        return task_id, task

    def completed(self, task: Task) -> Task:
        """Return `task` if it completed.

        Raises:
            DifferenceError: it ended otherwise; its log is shown at the end.
        """
        if task.state != "completed":
            self.failed_tasks.append(task.task_id)
            raise DifferenceError(f"{task.label} ({task.task_id}): expected completed, found {task.state}")
        return task

    def artifact(self, task_id: str, name: str) -> bytes:
        """Return an artifact's content; what is missing is a difference."""
        try:
            return self.root.api.artifact(task_id, name)
        except AnsweredError as error:
            raise DifferenceError(f"artifact {name} of {task_id}: {error.message}") from error

    def json_artifact(self, task_id: str, name: str) -> Any:
        """Return an artifact's JSON."""
        return json.loads(self.artifact(task_id, name))

    def log(self, task_id: str) -> str:
        """Return a task's log."""
        return self.artifact(task_id, "public/logs/live.log").decode("utf-8", "replace")

    def action(self, name: str, push: Pushed) -> dict[str, Any]:
        """Return the action of that name from the push's actions.json, as it stands there."""
        offered = self.json_artifact(push.group, "public/actions.json")["actions"]
        for action in offered:
            if action["name"] == name:
                return dict(action)
        raise DifferenceError(
            f"actions.json of {push.group} has no {name}; there are {[a['name'] for a in offered]}"
        )


def hook_payload(action: dict[str, Any], *, group: str, task_id: str | None, given: Any) -> dict[str, Any]:
    """Return what an action's hook is sent: the decision's part as it is, the user's filled in."""
    return {
        "decision": action["hookPayload"]["decision"],
        "user": {"input": given, "taskId": task_id, "taskGroupId": group},
    }
