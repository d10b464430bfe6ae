"""What a task group offers: its decision task, its actions.json, and the task to act on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from liftlock.cli.client import Api
from liftlock.cli.failures import AnsweredError, UsageError
from liftlock.domain.actions.document import ARTIFACT, MAX_BYTES, ActionsFile, parse_actions
from liftlock.domain.actions.rendering import Target
from liftlock.errors import LiftlockError


@dataclass(frozen=True, slots=True)
class Offer:
    """A group's actions and what they would act on; `decision` is the decision task's definition."""

    file: ActionsFile
    target: Target
    decision: dict[str, Any]

    @property
    def tags(self) -> dict[str, str] | None:
        """The tags of the task to act on, None for the group."""
        return None if self.target.task is None else dict(self.target.task.get("tags", {}))


def load_offer(api: Api, group: str, task_id: str | None) -> Offer:
    """Return what `group` offers for the task, or for itself.

    Raises:
        UsageError: the group has no actions.json, or the task is not one of the group.
    """
    decision = api.get("queue", "task", group)
    try:
        file = parse_actions(api.artifact(group, ARTIFACT, max_bytes=MAX_BYTES))
    except AnsweredError as error:
        if error.status != 404:
            raise
        raise UsageError(
            f"task {group} has no artifact {ARTIFACT}: is it a decision task, and has it ended?"
        ) from error
    except LiftlockError as error:
        raise UsageError(f"{ARTIFACT} of {group} makes no sense: {error.message}") from error
    if task_id is None:
        return Offer(file, Target(group), decision)
    task = api.get("queue", "task", task_id)
    if task["taskGroupId"] != group:
        raise UsageError(f"task {task_id} belongs to group {task['taskGroupId']}, not to {group}")
    return Offer(file, Target(group, task_id, task), decision)
