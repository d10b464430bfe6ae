"""The mirrors of a project are those of its kind of repository."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from liftlock.domain.pushes.project import Project
from liftlock.domain.pushes.push import Commit
from liftlock.ports.repository import Repository


class MirrorsByKind:
    """Implements `ports.repository.Repository` by one implementation for each `Project.vcs`."""

    def __init__(self, kinds: Mapping[str, Repository]) -> None:
        self._kinds = kinds

    async def fetch(self, project: Project) -> dict[str, str]:
        return await self._kinds[project.vcs].fetch(project)

    async def commit(self, project: Project, revision: str) -> Commit:
        return await self._kinds[project.vcs].commit(project, revision)

    async def file(self, project: Project, revision: str, path: str, *, max_bytes: int) -> bytes | None:
        return await self._kinds[project.vcs].file(project, revision, path, max_bytes=max_bytes)

    async def is_ancestor(self, project: Project, old: str, new: str) -> bool:
        return await self._kinds[project.vcs].is_ancestor(project, old, new)

    async def keep(self, project: Project, push_id: int, revision: str) -> None:
        await self._kinds[project.vcs].keep(project, push_id, revision)

    async def kept(self, project: Project, revision: str) -> bool:
        return await self._kinds[project.vcs].kept(project, revision)

    async def fetch_pull(self, project: Project, number: int) -> str:
        return await self._kinds[project.vcs].fetch_pull(project, number)

    async def pulled(self, project: Project, revision: str) -> bool:
        return await self._kinds[project.vcs].pulled(project, revision)

    def bundle(self, project: Project, heads: dict[str, str]) -> AsyncIterator[bytes]:
        return self._kinds[project.vcs].bundle(project, heads)

    async def forget(self, project: Project) -> None:
        for mirrors in self._kinds.values():
            await mirrors.forget(project)
