"""Decision tasks whose outcome the forge is told: found in the push log and among pull requests, and looked at as they are now.

Source: docs/reference/github.md#decision-tasks
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from liftlock.domain.forge.settings import ForgeRepository, GitHubSettings
from liftlock.domain.tasks.lifecycle import RESOLVED
from liftlock.domain.tasks.statuses import Task
from liftlock.ports.envelope import Envelope
from liftlock.ports.forge_store import ForgeStore, Watch
from liftlock.ports.push_store import PushQuery, PushStore
from liftlock.ports.task_store import TaskStore
from liftlock.services.operation_desk import Outlook

LOOK_BACK: Final = timedelta(hours=1)
"""A push that was observed longer ago, when nobody looked, is not told any more."""
_PAGE: Final = 100


class DecisionsTold:
    """Watches decision tasks of pushes; those of pull requests are watched by who starts them."""

    def __init__(
        self, settings: GitHubSettings, store: ForgeStore, pushes: PushStore, tasks: TaskStore
    ) -> None:
        self._settings = settings
        self._store = store
        self._pushes = pushes
        self._tasks = tasks
        self._seen: dict[int, int] = {}

    async def find(self, now: datetime) -> None:
        """Watch the decision tasks of all pushes since the last look, up to the first whose decision is pending."""
        for repository in self._settings.repository:
            await self._find(repository, now)

    async def _find(self, repository: ForgeRepository, now: datetime) -> None:
        after = self._seen.get(repository.id, 0)
        query = PushQuery(after_id=after, newest_first=after == 0, limit=_PAGE)
        for push in sorted(await self._pushes.pushes(repository.project, query), key=lambda one: one.id):
            if push.decision == "pending" and now - push.at < LOOK_BACK:
                return
            known = push.decision != "started" or await self._store.watched(push.task_id) is not None
            if not known and now - push.at < LOOK_BACK:
                watch = Watch(
                    operation_id=push.task_id,
                    repository=repository.id,
                    number=0,
                    revision=push.revision,
                    kind="decision",
                )
                await self._store.watch(watch, (), Envelope(now))
            self._seen[repository.id] = push.id

    async def look(self, watch: Watch) -> Outlook | None:
        """Return how far the decision task of the watch is; None if it is gone."""
        task = await self._tasks.task(watch.operation_id)
        return None if task is None else _outlook(task)


def _outlook(task: Task) -> Outlook:
    progress = task.progress
    reason = progress.runs[-1].reason_resolved if progress.runs else None
    cancelled = progress.state == "exception" and reason == "canceled"
    return Outlook(
        operation="decision",
        state="cancelled" if cancelled else progress.state,
        why=f"the decision task is {progress.state}{f': {reason}' if reason else ''}",
        ended=progress.state in RESOLVED,
        succeeded=progress.state == "completed",
    )
