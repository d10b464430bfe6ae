"""Start the decision task of a pull request: by the policy of the trusted branch, with a role of its own, once a revision.

A pull request is no push: it is not in the push log, brings no hooks, and operations do not take its revision.

Source: docs/reference/github.md#pull-requests
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from liftlock.domain.actions.naming import PULL_LEVEL
from liftlock.domain.forge.pull_requests import (
    Admitted,
    NotAdmitted,
    PullRequest,
    admit,
    policy_of,
    pull_context,
)
from liftlock.domain.forge.settings import ForgeRepository
from liftlock.domain.pushes.config_file import MAX_BYTES, PATH, ConfigFile, parse_config
from liftlock.domain.pushes.decision import decision_task
from liftlock.domain.pushes.project import Project
from liftlock.errors import LiftlockError, RepositoryError, StaleSnapshotError, StorageError
from liftlock.ports.entropy import Entropy
from liftlock.ports.envelope import AuditRecord, Envelope
from liftlock.ports.forge_store import ForgeStore, PullDecision, Watch, Work
from liftlock.ports.push_store import DecisionRun, PushStore
from liftlock.ports.repository import Repository
from liftlock.services.authorize import Authorizer
from liftlock.services.create_task import CreateTask

ACTOR: Final = "liftlock/forge"
_MAX_REASON: Final = 2000


class DecidePull:
    """Implements `services.answer_forge.DecidePull`."""

    def __init__(
        self,
        store: ForgeStore,
        pushes: PushStore,
        repository: Repository,
        authorizer: Authorizer,
        create_task: CreateTask,
        entropy: Entropy,
    ) -> None:
        self._store = store
        self._pushes = pushes
        self._repository = repository
        self._authorizer = authorizer
        self._create_task = create_task
        self._entropy = entropy

    async def __call__(
        self, work: Work, repository: ForgeRepository, now: datetime
    ) -> tuple[str, list[Work], list[Watch]]:
        """Return what was decided, the comment that tells a stranger why nothing runs, and the task that is watched.

        Raises:
            StorageError, RepositoryError, StaleSnapshotError: it may be tried again.
        """
        project = await self._pushes.project(repository.project)
        if project is None:
            return f"there is no project {repository.project}", [], []
        pull = _pull(work.body)
        last = await self._store.pull_decision(repository.id, pull.number)
        if last is not None and last.revision == pull.revision:
            return f"{last.decision} before", [], _watched(last)
        head = await self._repository.fetch_pull(project, pull.number)
        if head != pull.revision:
            return f"the pull request is at {head} meanwhile, and that is told by itself", [], []
        decision = PullDecision(
            repository=repository.id,
            number=pull.number,
            revision=pull.revision,
            attempt=1 if last is None else last.attempt + 1,
            project=project.name,
            task_id=self._entropy.slugid(),
            decision="started",
            reason="",
        )
        return await self._decide(project, repository, pull, str(work.body["association"]), decision, now)

    async def _decide(
        self,
        project: Project,
        repository: ForgeRepository,
        pull: PullRequest,
        association: str,
        decision: PullDecision,
        now: datetime,
    ) -> tuple[str, list[Work], list[Watch]]:
        try:
            admitted = await self._admit(project, repository.trusted_branch, association)
            if isinstance(admitted, NotAdmitted):
                await self._end(decision, "refused", admitted.reason, now)
                return f"refused: {admitted.reason}", _told(decision, admitted), []
            file = await self._file(project, pull.revision)
            context = pull_context(project, pull, admitted, decision.task_id, now=now)
            task = None if file is None else decision_task(file, context, now=now)
            if task is None:
                await self._end(decision, "none", f"{PATH} asks for no task", now)
                return "none", [], []
            caller = await self._authorizer.internal(
                f"liftlock/pull/{project.name}/{pull.number}", [f"assume:{admitted.role(project)}"], now
            )
            run = _run(project, pull, decision.task_id, "" if file is None else file.digest, now)
            await self._create_task(caller, decision.task_id, task, now, records=(decision, run))
        except (StorageError, RepositoryError, StaleSnapshotError):
            raise
        except LiftlockError as error:
            await self._end(decision, "failed", f"{error.code}: {error.message}"[:_MAX_REASON], now)
            return "failed", [], []
        return f"started {decision.task_id}", [], _watched(decision)

    async def _admit(self, project: Project, trusted: str, association: str) -> Admitted | NotAdmitted:
        head = (await self._pushes.heads(project.name)).get(trusted)
        if head is None:
            return NotAdmitted(f"there is no trusted branch {trusted}", said=False)
        file = await self._file(project, head)
        return admit(policy_of(None if file is None else file.document), association)

    async def _file(self, project: Project, revision: str) -> ConfigFile | None:
        raw = await self._repository.file(project, revision, PATH, max_bytes=MAX_BYTES)
        return None if raw is None else parse_config(raw)

    async def _end(self, decision: PullDecision, how: Any, reason: str, now: datetime) -> None:
        ended = PullDecision(
            repository=decision.repository,
            number=decision.number,
            revision=decision.revision,
            attempt=decision.attempt,
            project=decision.project,
            task_id="",
            decision=how,
            reason=reason,
        )
        audit = AuditRecord(
            ACTOR,
            "forge.decidePull",
            f"project/{decision.project}/pull/{decision.number}",
            "allowed" if how == "none" else "refused",
            {"decision": how, "reason": reason, "revision": decision.revision},
        )
        await self._store.decide(ended, Envelope(now, audit=(audit,)))


def _run(project: Project, pull: PullRequest, task_id: str, digest: str, now: datetime) -> DecisionRun:
    """Return what the actions of its decision task are bound to: what `pull_context` tells the template."""
    said = pull_context(project, pull, Admitted("pull-request"), task_id, now=now)["event"]["pull_request"]
    return DecisionRun(
        task_id=task_id,
        kind="pull",
        at=now,
        project=project.name,
        identity=project.identity,
        trust_domain=project.trust_domain,
        project_level=project.level,
        level=PULL_LEVEL,
        branch=said["head"]["ref"],
        revision=pull.revision,
        base_revision=pull.base_revision,
        owner=said["user"]["login"],
        pushlog_id=0,
        config_digest=digest,
    )


def _told(decision: PullDecision, refused: NotAdmitted) -> list[Work]:
    """Return the comment that says so, once for each pull request."""
    if not refused.said:
        return []
    text = "Nothing was started for this pull request: only collaborators' pull requests start tasks here."
    at = f"pull/{decision.repository}/{decision.number}/not-admitted"
    body = {"number": decision.number, "text": text}
    return [Work(id=at, repository=decision.repository, kind="comment", body=body)]


def _watched(decision: PullDecision) -> list[Watch]:
    """Return that the forge is told of the decision's task, if it has one."""
    if decision.decision != "started":
        return []
    return [
        Watch(
            operation_id=decision.task_id,
            repository=decision.repository,
            number=decision.number,
            revision=decision.revision,
            kind="decision",
        )
    ]


def _pull(body: dict[str, Any]) -> PullRequest:
    return PullRequest(
        number=int(body["number"]),
        revision=str(body["revision"]),
        login=str(body["login"]),
        title=str(body["title"]),
        head_ref=str(body["headRef"]),
        base_ref=str(body["baseRef"]),
        base_revision=str(body["baseRevision"]),
        action=str(body["action"]),
    )
