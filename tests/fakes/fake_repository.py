"""A repository in memory: commits by revision, branches that tests move."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from liftlock.domain.pushes.project import Project
from liftlock.domain.pushes.push import Commit
from liftlock.errors import RepositoryError

PATH = ".taskcluster.yml"


@dataclass
class FakeRepository:
    """Implements `ports.repository.Repository`; one source for all projects, unless `sources` says otherwise."""

    branches: dict[str, str] = field(default_factory=dict)
    sources: dict[str, dict[str, str]] = field(default_factory=dict)
    files: dict[str, bytes | None] = field(default_factory=dict)
    parents: dict[str, str | None] = field(default_factory=dict)
    authors: dict[str, tuple[str, str]] = field(default_factory=dict)
    pushes: dict[tuple[str, int], str] = field(default_factory=dict)
    pulls: dict[int, str] = field(default_factory=dict)
    fetched_pulls: set[str] = field(default_factory=set)
    others: dict[str, bytes] = field(default_factory=dict)
    """Further files by path, the same at every revision."""
    broken: str | None = None
    fetches: int = 0

    def commit_to(
        self,
        branch: str,
        content: str | None,
        *,
        author: tuple[str, str] = ("Robin", "robin@example.org"),
        parent: str | None = "",
        project: str | None = None,
    ) -> str:
        """Move `branch` to a new commit with `content` as its .taskcluster.yml, and return the revision.

        With `project`, of a source that only this project is fetched from.
        """
        branches = self.branches if project is None else self.sources.setdefault(project, {})
        before = branches.get(branch) if parent == "" else parent
        revision = hashlib.sha1(f"{before}{content}{len(self.parents)}".encode()).hexdigest()
        self.parents[revision] = before
        self.files[revision] = None if content is None else content.encode()
        self.authors[revision] = author
        branches[branch] = revision
        return revision

    async def fetch(self, project: Project) -> dict[str, str]:
        self.fetches += 1
        if self.broken is not None:
            raise RepositoryError(self.broken)
        return dict(self.sources.get(project.name, self.branches))

    async def commit(self, project: Project, revision: str) -> Commit:
        name, email = self.authors[revision]
        return Commit(
            revision=revision,
            author_name=name,
            author_email=email,
            committer_email=email,
            message="Subject",
            committed=datetime(2026, 1, 1, tzinfo=UTC),
        )

    async def file(self, project: Project, revision: str, path: str, *, max_bytes: int) -> bytes | None:
        return self.files[revision] if path == PATH else self.others.get(path)

    async def is_ancestor(self, project: Project, old: str, new: str) -> bool:
        at: str | None = new if old in self.parents else None
        while at is not None and at != old:
            at = self.parents.get(at)
        return at is not None

    async def fetch_pull(self, project: Project, number: int) -> str:
        if self.broken is not None or number not in self.pulls:
            raise RepositoryError(self.broken or f"there is no pull request {number}")
        self.fetched_pulls.add(self.pulls[number])
        return self.pulls[number]

    async def pulled(self, project: Project, revision: str) -> bool:
        return revision in self.fetched_pulls

    async def keep(self, project: Project, push_id: int, revision: str) -> None:
        self.pushes[project.name, push_id] = revision

    async def kept(self, project: Project, revision: str) -> bool:
        mine = [kept for (name, _), kept in self.pushes.items() if name == project.name]
        return any([await self.is_ancestor(project, revision, each) for each in mine])

    async def _bundle(self, heads: dict[str, str]) -> AsyncIterator[bytes]:
        for name, revision in heads.items():
            yield f"{revision} {name}\n".encode()

    def bundle(self, project: Project, heads: dict[str, str]) -> AsyncIterator[bytes]:
        return self._bundle(heads)

    async def forget(self, project: Project) -> None:
        self.pushes = {key: value for key, value in self.pushes.items() if key[0] != project.name}
