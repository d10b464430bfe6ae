"""Start the decision task of a recorded push: with the repository's role and nothing else, and exactly once.

The task's id was chosen when the push was recorded, and the task is created in the transaction that marks the push as
started. So this may be interrupted anywhere and run again, by whoever finds the push pending.
"""

from __future__ import annotations

import asyncio
from typing import Final

from liftlock.domain.pushes.config_file import MAX_BYTES, PATH, ConfigFile, parse_config
from liftlock.domain.pushes.context import push_context
from liftlock.domain.pushes.decision import decision_task
from liftlock.domain.pushes.project import Project
from liftlock.domain.pushes.push import DecisionState, Push
from liftlock.errors import LiftlockError, RepositoryError, StaleSnapshotError, StorageError
from liftlock.ports.clock import Clock
from liftlock.ports.envelope import AuditRecord, Envelope
from liftlock.ports.push_store import DecisionOutcome, PushStore
from liftlock.ports.repository import Repository
from liftlock.services.admit_hooks import AdmitHooks
from liftlock.services.authorize import Authorizer
from liftlock.services.create_task import CreateTask

ATTEMPTS: Final = 5
"""How often a decision is taken anew because roles changed meanwhile."""
_MAX_TEXT: Final = 4_000


class StartDecision:
    """Takes a pending push to its decision task, or to the reason why there is none."""

    def __init__(
        self,
        store: PushStore,
        repository: Repository,
        admit_hooks: AdmitHooks,
        authorizer: Authorizer,
        create_task: CreateTask,
        clock: Clock,
    ) -> None:
        self._store = store
        self._repository = repository
        self._admit_hooks = admit_hooks
        self._authorizer = authorizer
        self._create_task = create_task
        self._clock = clock

    async def __call__(self, project: Project, push: Push) -> None:
        """Start the task of `push`, which is pending; what prevents it is recorded with the push.

        Raises:
            StorageError, RepositoryError, StaleSnapshotError: it could not be decided; the push stays pending.
        """
        try:
            _, raw = await asyncio.gather(
                self._repository.keep(project, push.id, push.revision),
                self._repository.file(project, push.revision, PATH, max_bytes=MAX_BYTES),
            )
            if raw is None:
                await self._finish(push, "none", f"there is no {PATH}")
                return
            await self._start(project, push, parse_config(raw))
        except (StorageError, RepositoryError, StaleSnapshotError):
            raise
        except LiftlockError as error:
            await self._finish(push, "failed", f"{error.code}: {error.message}"[:_MAX_TEXT])

    async def _start(self, project: Project, push: Push, file: ConfigFile) -> None:
        now = self._clock.now()
        alerts = await self._admit_hooks.bring(push, file, now)
        await self._store.note_content(push.project, push.id, file.digest, alerts, Envelope(now))
        commit = await self._repository.commit(project, push.revision)
        task = decision_task(file, push_context(project, push, commit, now=now), now=now)
        if task is None:
            await self._finish(push, "none", f"{PATH} asks for no task")
            return
        started = DecisionOutcome(project=push.project, push_id=push.id, decision="started", text="")
        scopes = [f"assume:{project.branch_role(push.branch)}"]
        for attempt in range(ATTEMPTS):
            caller = await self._authorizer.internal(
                f"liftlock/decision/{push.project}/{push.id}", scopes, now
            )
            try:
                await self._create_task(caller, push.task_id, task, now, records=(started,))
            except StaleSnapshotError:
                self._authorizer.expire()
                if attempt == ATTEMPTS - 1:
                    raise
            else:
                return

    async def _finish(self, push: Push, decision: DecisionState, text: str) -> None:
        outcome = DecisionOutcome(project=push.project, push_id=push.id, decision=decision, text=text)
        audit = AuditRecord(
            "liftlock/pushes",
            "pushes.decide",
            f"project/{push.project}/push/{push.id}",
            "refused" if decision == "failed" else "allowed",
            {"decision": decision, "text": text},
        )
        await self._store.finish(outcome, Envelope(self._clock.now(), audit=(audit,)))
