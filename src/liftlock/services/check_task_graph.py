"""Check a graph of tasks before any of it is created: a decision task asks, and creates nothing if it is refused.

Source: docs/reference/queue.md#check-a-graph
"""

from __future__ import annotations

from liftlock.domain.tasks.task_graph import check_graph, outside, planned
from liftlock.errors import InputValidationError
from liftlock.ports.task_store import TaskStore
from liftlock.services.authorize import Caller


class CheckTaskGraph:
    """Reads, and changes nothing."""

    def __init__(self, store: TaskStore) -> None:
        self._store = store

    async def __call__(self, caller: Caller, tasks: object) -> int:
        """Return how many tasks the graph has, if all of its dependencies and piped inputs hold.

        Raises:
            InputValidationError: they don't; the message lists what is wrong.
            RefusedError: the caller may not see a task that the graph depends on.
        """
        graph = planned(tasks)
        needed = outside(graph)
        caller.require([f"queue:get-task:{task_id}" for task_id in needed])
        existing = {one.task.task_id: one.document for one in await self._store.stored(needed)}
        problems = check_graph(graph, existing)
        if problems:
            raise InputValidationError(
                "this graph would not run, so none of it should be created: " + "; ".join(problems)
            )
        return len(graph)
