"""Read the push log, and the source of what was pushed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from liftlock.domain.pushes.project import Project, Vcs
from liftlock.domain.pushes.push import Push
from liftlock.errors import NotFoundError
from liftlock.ports.push_store import Admission, PushQuery, PushStore
from liftlock.ports.repository import Repository
from liftlock.services.authorize import Caller
from liftlock.values.ids import project_name

_DELETED: Final = "deleted"


class PushLog:
    """The log of each project, by number from 1."""

    def __init__(self, store: PushStore, repository: Repository) -> None:
        self._store = store
        self._repository = repository

    async def find(self, caller: Caller, project: str, query: PushQuery) -> list[Push]:
        """Return the pushes that `query` asks for; also those of a project that was removed."""
        caller.require(f"pushes:list-pushes:{project_name(project)}")
        return await self._store.pushes(project, query)

    async def get(self, caller: Caller, project: str, push_id: int) -> Push:
        """Return the push; raises NotFoundError."""
        caller.require(f"pushes:list-pushes:{project_name(project)}")
        found = await self._store.push(project, push_id)
        if found is None:
            raise NotFoundError(f"there is no push {push_id} in the log of {project}")
        return found

    async def waiting(self, caller: Caller) -> list[Admission]:
        """Return the contents that wait for somebody's consent, those that lost it included, the newest first."""
        caller.require("pushes:list-admissions")
        found = [*await self._store.admissions("waiting"), *await self._store.admissions("withdrawn")]
        return sorted(found, key=lambda each: each.at, reverse=True)

    async def source(self, caller: Caller, project: str, revision: str) -> tuple[Vcs, AsyncIterator[bytes]]:
        """Return whose bundle it is, and the bundle of the whole history of `revision` and of the push's base revision.

        Git's has the heads HEAD, the push's branch, and the base.

        Only what a recorded push brought is given out: not what is in the mirror for another reason.

        Raises:
            NotFoundError: there is no such project, or no push brought the revision.
        """
        caller.require(f"pushes:get-source:{project_name(project)}")
        known = await self._store.project(project)
        if known is None:
            raise NotFoundError(f"there is no project {project}")
        heads = await self._heads(known, revision)
        if heads is None:
            raise NotFoundError(f"no recorded push of {project} brought the revision {revision[:80]!r}")
        return known.vcs, self._repository.bundle(known, heads)

    async def _is_open(self, project: Project, revision: str) -> bool:
        """Tell whether the revision is in the history of a push, or was the head of a pull request."""
        return await self._repository.kept(project, revision) or await self._repository.pulled(
            project, revision
        )

    async def _heads(self, project: Project, revision: str) -> dict[str, str] | None:
        found = await self._store.pushes(project.name, PushQuery(revision=revision, limit=1))
        if not found or found[0].kind == _DELETED:
            if not await self._is_open(project, revision):
                return None
            return {"HEAD": revision, "refs/heads/source": revision}
        push = found[0]
        heads = {"HEAD": revision, f"refs/heads/{push.branch}": revision}
        # A past head is in the mirror already: only a mirror that was made anew may lack one that was forced away.
        if await self._repository.is_ancestor(project, push.base_revision, push.base_revision):
            heads["refs/liftlock/base"] = push.base_revision
        return heads
