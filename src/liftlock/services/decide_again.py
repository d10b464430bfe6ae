"""Start the decision task of a recorded push once more, in a group of its own, from what was recorded.

It gives nobody anything: the task has the role of the push's branch, as the first one, and its actions are bound to the same
push. Source: docs/reference/pushes.md#deciding-again
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from liftlock.domain.pushes.config_file import MAX_BYTES, PATH, parse_config
from liftlock.domain.pushes.context import push_context
from liftlock.domain.pushes.decision import decision_task
from liftlock.domain.pushes.project import Project
from liftlock.domain.pushes.push import Push
from liftlock.errors import ConflictError, NotFoundError, StaleSnapshotError
from liftlock.ports.entropy import Entropy
from liftlock.ports.envelope import AuditRecord
from liftlock.ports.push_store import Audited, DecisionRun, PushStore
from liftlock.ports.repository import Repository
from liftlock.services.authorize import Authorizer, Caller
from liftlock.services.create_task import CreateTask
from liftlock.values.ids import project_name


class DecideAgain:
    """Creates further decision tasks of a push."""

    def __init__(
        self,
        store: PushStore,
        repository: Repository,
        authorizer: Authorizer,
        create_task: CreateTask,
        entropy: Entropy,
    ) -> None:
        self._store = store
        self._repository = repository
        self._authorizer = authorizer
        self._create_task = create_task
        self._entropy = entropy

    async def __call__(self, caller: Caller, name: str, push_id: int, now: datetime) -> str:
        """Return the id of the new decision task, which is that of its group as well.

        Raises:
            RefusedError: the caller lacks `pushes:decide-again:<project>`.
            NotFoundError: there is no such push, or no such project any more.
            ConflictError: its first decision task was never started, or the project is registered otherwise since.
        """
        caller.require(f"pushes:decide-again:{project_name(name)}")
        project = await self._store.project(name)
        push = await self._store.push(name, push_id)
        if project is None or push is None:
            raise NotFoundError(f"there is no push {push_id} in the log of a project {name}")
        _expect_alike(project, push)
        raw = await self._repository.file(project, push.revision, PATH, max_bytes=MAX_BYTES)
        if raw is None:
            raise ConflictError(f"push {push_id} of {name}: there is no {PATH}")
        again = msgspec.structs.replace(push, task_id=self._entropy.slugid())
        file = parse_config(raw)
        commit = await self._repository.commit(project, push.revision)
        task = decision_task(file, push_context(project, again, commit, now=now), now=now)
        if task is None:
            raise ConflictError(f"push {push_id} of {name}: {PATH} asks for no task")
        audit = caller.record("pushes.decideAgain", f"project/{name}/push/{push_id}", taskId=again.task_id)
        audit = msgspec.structs.replace(audit, authority=caller.authority())
        await self._start(project, again, task, _run(again, file.digest, now), audit, caller, now)
        return again.task_id

    async def _start(
        self,
        project: Project,
        push: Push,
        task: dict[str, object],
        run: DecisionRun,
        audit: AuditRecord,
        caller: Caller,
        now: datetime,
    ) -> None:
        """Create the task with the branch's role, under the nonce of the caller's request."""
        role = await self._authorizer.internal(
            f"liftlock/decision/{push.project}/{push.id}", [f"assume:{project.branch_role(push.branch)}"], now
        )
        if role.access_version != caller.access_version:
            raise StaleSnapshotError("roles or clients changed while the request was decided")
        role = msgspec.structs.replace(role, nonce=caller.nonce)
        await self._create_task(role, push.task_id, task, now, records=(run, Audited(audit, now)))


def _expect_alike(project: Project, push: Push) -> None:
    where = f"push {push.id} of {push.project}"
    if push.decision != "started":
        raise ConflictError(
            f"{where}: its decision is {push.decision}, not started: there is nothing to repeat"
        )
    if (project.identity, project.level, project.trust_domain) != (
        push.identity,
        push.level,
        push.trust_domain,
    ):
        raise ConflictError(
            f"{where}: the project was registered with another identity, level or trust domain since"
        )


def _run(push: Push, digest: str, now: datetime) -> DecisionRun:
    return DecisionRun(
        task_id=push.task_id,
        kind="push",
        at=now,
        project=push.project,
        identity=push.identity,
        trust_domain=push.trust_domain,
        project_level=push.level,
        level=push.level,
        branch=push.branch,
        revision=push.revision,
        base_revision=push.base_revision,
        owner=push.owner,
        pushlog_id=push.id,
        config_digest=digest,
    )
