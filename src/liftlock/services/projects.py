"""Register repositories: whoever does decides whose pushes run with a repository's role, so he needs that role himself."""

from __future__ import annotations

from datetime import datetime

from liftlock.domain.pushes.project import Project
from liftlock.domain.scopes.satisfaction import AllOf
from liftlock.errors import ConflictError, NotFoundError
from liftlock.ports.envelope import Event
from liftlock.ports.push_store import PushStore
from liftlock.ports.repository import Repository
from liftlock.services.authorize import Caller
from liftlock.values.ids import project_name
from liftlock.values.json import decode, encode


class Projects:
    """Registered repositories."""

    def __init__(self, store: PushStore, repository: Repository) -> None:
        self._store = store
        self._repository = repository

    async def list(self, caller: Caller) -> list[Project]:
        """Return all projects, sorted by name."""
        caller.require("pushes:list-projects")
        return await self._store.projects()

    async def get(self, caller: Caller, name: str) -> Project:
        """Return the project; raises NotFoundError."""
        caller.require(f"pushes:get-project:{project_name(name)}")
        return await self._load(name)

    async def register(
        self, caller: Caller, project: Project, now: datetime, *, decide_existing: bool = False
    ) -> Project:
        """Store a new project; registering the same again answers the same.

        Its branches are fetched now. What they hold already is no push, unless `decide_existing` says that liftlock
        shall treat each as just created.

        Raises:
            ConflictError: the name or the identity is taken.
            RepositoryError: the fetch address cannot be fetched from.
        """
        _require(caller, project)
        existing = await self._store.project(project.name)
        if existing is not None:
            if existing == project:
                return existing
            raise ConflictError(f"project {project.name} exists with other settings: update it instead")
        fetched = await self._repository.fetch(project)
        tracked = {branch: revision for branch, revision in fetched.items() if project.tracks(branch)}
        await self._put(caller, project, {} if decide_existing else tracked, now, create=True)
        return project

    async def update(self, caller: Caller, project: Project, now: datetime) -> Project:
        """Change a project; the caller needs the role of the old identity and of the new one."""
        _require(caller, project)
        existing = await self._load(project.name)
        _require(caller, existing)
        if existing == project:
            return existing
        if existing.fetch_address != project.fetch_address:
            await self._repository.fetch(project)
        await self._put(caller, project, {}, now, create=False)
        return project

    async def remove(self, caller: Caller, name: str, now: datetime) -> None:
        """Remove the project and its mirror; its push log stays. Idempotent."""
        caller.require(f"pushes:manage-project:{project_name(name)}")
        existing = await self._store.project(name)
        if existing is None:
            return
        audit = caller.record("pushes.removeProject", f"project/{name}")
        await self._store.remove_project(name, caller.envelope(now, audit))
        await self._repository.forget(existing)

    async def _load(self, name: str) -> Project:
        found = await self._store.project(name)
        if found is None:
            raise NotFoundError(f"there is no project {name}")
        return found

    async def _put(
        self, caller: Caller, project: Project, heads: dict[str, str], now: datetime, *, create: bool
    ) -> None:
        details = decode(encode(project))
        audit = caller.record(
            "pushes.registerProject" if create else "pushes.updateProject",
            f"project/{project.name}",
            **details,
        )
        event = Event("project-registered" if create else "project-updated", project.name, details)
        await self._store.put_project(
            project, heads, caller.envelope(now, audit, events=(event,)), create=create
        )


def _require(caller: Caller, project: Project) -> None:
    """Require the right to manage the project, and the roles that pushes to it will run with."""
    caller.require(AllOf(f"pushes:manage-project:{project.name}", f"assume:{project.role_prefix}:*"))
