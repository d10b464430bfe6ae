"""Bring a project's action hooks again: after a change of policy, for every branch at its recorded head.

It grants nothing that a push would not: what policy does not admit by itself still waits for consent.
"""

from __future__ import annotations

from datetime import datetime

from liftlock.domain.pushes.config_file import MAX_BYTES, PATH, parse_config
from liftlock.domain.pushes.push import Push
from liftlock.errors import InputInvalidError, NotFoundError
from liftlock.ports.push_store import PushQuery, PushStore
from liftlock.ports.repository import Repository
from liftlock.services.admit_hooks import AdmitHooks
from liftlock.services.authorize import Caller
from liftlock.values.ids import project_name


class BringHooks:
    """Makes hooks of what branches hold now."""

    def __init__(self, store: PushStore, repository: Repository, admit_hooks: AdmitHooks) -> None:
        self._store = store
        self._repository = repository
        self._admit_hooks = admit_hooks

    async def __call__(self, caller: Caller, name: str, now: datetime) -> dict[str, list[str]]:
        """Return what an operator should look at, by branch; branches that no push moved are left out.

        Raises:
            NotFoundError: there is no such project.
        """
        caller.require(f"pushes:manage-project:{project_name(name)}")
        project = await self._store.project(name)
        if project is None:
            raise NotFoundError(f"there is no project {name}")
        found: dict[str, list[str]] = {}
        for branch, revision in sorted((await self._store.heads(name)).items()):
            newest = await self._store.pushes(name, PushQuery(branch=branch, limit=1))
            if newest and newest[0].revision == revision and newest[0].level == project.level:
                raw = await self._repository.file(project, revision, PATH, max_bytes=MAX_BYTES)
                found[branch] = [] if raw is None else await self._bring(newest[0], raw, now)
        return found

    async def _bring(self, push: Push, raw: bytes, now: datetime) -> list[str]:
        try:
            return list(await self._admit_hooks.bring(push, parse_config(raw), now))
        except InputInvalidError as error:
            return [error.message]
