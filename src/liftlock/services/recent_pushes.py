"""The newest pushes of all projects that the caller may see."""

from __future__ import annotations

import msgspec

from liftlock.ports.overview_store import FoundPushes, OverviewStore, RecentPushes
from liftlock.ports.push_store import PushStore
from liftlock.services.authorize import Caller

_SCOPE = "pushes:list-pushes:"


class FindRecentPushes:
    """Reads the push logs of many projects as one."""

    def __init__(self, store: PushStore, overview: OverviewStore) -> None:
        self._store = store
        self._overview = overview

    async def projects(self, caller: Caller) -> list[str]:
        """Return the registered projects whose push log the caller may list, sorted."""
        return [
            project.name
            for project in await self._store.projects()
            if caller.satisfies(_SCOPE + project.name)
        ]

    async def __call__(self, caller: Caller, wanted: RecentPushes) -> FoundPushes:
        """Return the pushes that `wanted` asks for; its projects are limited to those that the caller may see.

        Raises:
            RefusedError: it names one project, and the caller may not list that one's pushes.
        """
        if len(wanted.projects) == 1:
            caller.require(_SCOPE + wanted.projects[0])
        seen = tuple(name for name in wanted.projects if caller.satisfies(_SCOPE + name))
        return await self._overview.recent_pushes(msgspec.structs.replace(wanted, projects=seen))
