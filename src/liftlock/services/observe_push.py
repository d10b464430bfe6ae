"""Observe pushes: fetch as liftlock's own user, and record what moved.

A ring is a hint that something may have moved, and the only source of who claims to have pushed. It has no authority:
what is recorded is what liftlock saw itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec

from liftlock.domain.pushes.movements import Movement, movements
from liftlock.domain.pushes.project import Project
from liftlock.domain.pushes.push import Claim, Commit, Push, owner_of
from liftlock.ports.clock import Clock
from liftlock.ports.entropy import Entropy
from liftlock.ports.envelope import AuditRecord, Envelope, Event
from liftlock.ports.push_store import NewPush, PushStore
from liftlock.ports.repository import Repository
from liftlock.values.instants import format_instant

ACTOR = "liftlock/pushes"


class ObservePush:
    """Fetches one project and records its movements."""

    def __init__(self, store: PushStore, repository: Repository, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._repository = repository
        self._clock = clock
        self._entropy = entropy

    async def __call__(self, project: Project, claims: Iterable[Claim]) -> list[Push]:
        """Return the pushes recorded now: one for each tracked branch that moved since the last record, by branch.

        Raises:
            RepositoryError: the repository could not be fetched or read; nothing was recorded of what is missing.
        """
        recorded = await self._store.heads(project.name)
        fetched = await self._repository.fetch(project)
        said = {(claim.branch, claim.revision): claim for claim in reversed(list(claims))}
        pushes = []
        for movement in movements(project, recorded, fetched):
            claim = said.get((movement.branch, movement.new)) if movement.new is not None else None
            push = await self._record(project, movement, claim)
            if push is not None:
                pushes.append(push)
        return pushes

    async def _record(self, project: Project, movement: Movement, claim: Claim | None) -> Push | None:
        new = await self._describe(project, movement, claim)
        details = {
            "branch": movement.branch,
            "kind": new.kind,
            "from": movement.old,
            "to": movement.new,
            "owner": new.owner,
            "ownerStanding": new.owner_standing,
        }
        audit = AuditRecord(ACTOR, "pushes.record", f"project/{project.name}", "changed", details)
        event = Event("push-recorded", project.name, details | {"at": format_instant(new.at)})
        return await self._store.record(project, new, Envelope(new.at, audit=(audit,), events=(event,)))

    async def _describe(self, project: Project, movement: Movement, claim: Claim | None) -> NewPush:
        """Return the movement with what the objects say of it; the decision task's id is chosen here, once."""
        kept, commit = await asyncio.gather(self._was_kept(project, movement), self._head(project, movement))
        new = NewPush(
            movement=movement,
            kind=movement.kind(old_is_ancestor=kept),
            at=self._clock.now(),
            owner="unknown",
            owner_standing="author",
            author="",
            message="",
            task_id=self._entropy.slugid(),
        )
        if commit is None:
            return new
        owner, standing = owner_of(commit, claim)
        return msgspec.structs.replace(
            new, owner=owner, owner_standing=standing, author=_author(commit), message=commit.message
        )

    async def _was_kept(self, project: Project, movement: Movement) -> bool:
        if movement.old is None or movement.new is None:
            return False
        return await self._repository.is_ancestor(project, movement.old, movement.new)

    async def _head(self, project: Project, movement: Movement) -> Commit | None:
        return None if movement.new is None else await self._repository.commit(project, movement.new)


def _author(commit: Commit) -> str:
    return f"{commit.author_name} <{commit.author_email}>"
