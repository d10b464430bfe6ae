"""Which scopes the queue's operations need, as expressions."""

from __future__ import annotations

from liftlock.domain.scopes.satisfaction import AllOf, AnyOf, Expression
from liftlock.domain.tasks.definition import PRIORITIES, Definition, rank_of


def to_create(definition: Definition) -> Expression:
    """Return what creating this task needs: each of its scopes and routes, its project, scheduler and priority."""
    return AllOf(
        *definition.scopes,
        *(f"queue:route:{route}" for route in definition.routes),
        f"queue:create-task:project:{definition.project_id}",
        f"queue:scheduler-id:{definition.scheduler_id}",
        at_priority(definition.priority, definition.task_queue_id),
    )


def at_priority(priority: str, task_queue_id: str) -> Expression:
    """Return any of create-task at `priority` or a higher one."""
    enough = reversed(PRIORITIES[: rank_of(priority) + 1])
    return AnyOf(*(f"queue:create-task:{one}:{task_queue_id}" for one in enough))


def to_act(verb: str, *, scheduler_id: str, task_group_id: str, task_id: str, project_id: str) -> AnyOf:
    """Return what `verb` (schedule, rerun or cancel) needs on this task."""
    return AnyOf(
        f"queue:{verb}-task:{scheduler_id}/{task_group_id}/{task_id}",
        f"queue:{verb}-task-in-project:{project_id}",
        AllOf(f"queue:{verb}-task", f"assume:scheduler-id:{scheduler_id}/{task_group_id}"),
    )


def to_change_priority(task_id: str, task_queue_id: str, old: str, new: str) -> Expression:
    """Return what changing one task's priority from `old` to `new` needs.

    Unlike the reference, a raise also needs the right to create at the new priority: a scope to reorder what is
    there never becomes a way around a queue's priorities.
    """
    direction = "raise" if rank_of(new) < rank_of(old) else "lower"
    change = AnyOf(
        f"queue:change-task-priority-in-queue:{task_queue_id}",
        f"queue:change-task-priority:{task_id}",
        f"queue:{direction}-task-priority:{task_id}",
    )
    return AllOf(change, at_priority(new, task_queue_id)) if direction == "raise" else change


def to_change_group_priority(scheduler_id: str, task_group_id: str, new: str) -> Expression:
    """Return what changing the priority of a whole group to `new` needs, beside the right to create at `new`."""
    both = (
        ["raise", "lower"]
        if new not in (PRIORITIES[0], PRIORITIES[-1])
        else ["raise" if new == PRIORITIES[0] else "lower"]
    )
    return AnyOf(
        f"queue:change-task-group-priority:{scheduler_id}/{task_group_id}",
        AllOf(*(f"queue:{direction}-task-group-priority:{task_group_id}" for direction in both)),
    )
