"""Start the tasks that `.cron.yml` schedules, as it stands at the recorded head of each branch that a project names.

A run's times are decided in the transaction that creates its task, so each is fired at most once; of those that were
missed the latest one only. Branches that a project covers by a pattern have no scheduled runs: anybody may make such.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from liftlock.domain.pushes.config_file import MAX_BYTES as MAX_CONFIG_BYTES
from liftlock.domain.pushes.config_file import PATH as CONFIG_PATH
from liftlock.domain.pushes.config_file import parse_config
from liftlock.domain.pushes.context import cron_context
from liftlock.domain.pushes.cron_file import MAX_BYTES, PATH, CronEntry, parse_cron, quarter_of
from liftlock.domain.pushes.decision import decision_task
from liftlock.domain.pushes.project import Project
from liftlock.errors import LiftlockError, StaleSnapshotError, StorageError
from liftlock.ports.clock import Clock
from liftlock.ports.cron_store import CronDecided, CronState, CronStore
from liftlock.ports.entropy import Entropy
from liftlock.ports.envelope import AuditRecord, Envelope
from liftlock.ports.leases import Leases
from liftlock.ports.push_store import DecisionRun, PushQuery, PushStore
from liftlock.ports.repository import Repository
from liftlock.services.authorize import Authorizer
from liftlock.services.create_task import CreateTask

LEASE: Final = "cron"
LEASE_DURATION: Final = timedelta(seconds=120)
ACTOR: Final = "liftlock/cron"
_log = structlog.get_logger(__name__)


class RunCron:
    """Fires what is due; of several control planes, the one that holds the lease."""

    def __init__(
        self,
        store: CronStore,
        pushes: PushStore,
        repository: Repository,
        authorizer: Authorizer,
        create_task: CreateTask,
        leases: Leases,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._store = store
        self._pushes = pushes
        self._repository = repository
        self._authorizer = authorizer
        self._create_task = create_task
        self._leases = leases
        self._clock = clock
        self._entropy = entropy
        self._looked: datetime | None = None
        self._holder = entropy.slugid()

    async def step(self) -> int:
        """Fire what has become due since the last quarter of an hour; return how many tasks were created."""
        now = self._clock.now()
        if self._looked == quarter_of(now):
            return 0
        if not await self._leases.hold(LEASE, self._holder, now=now, duration=LEASE_DURATION):
            return 0
        created = 0
        for project in await self._pushes.projects():
            try:
                created += await self._of_project(project, now)
            except StorageError:
                raise
            except LiftlockError as error:
                _log.warning(
                    "scheduled runs failed", project=project.name, code=error.code, error=error.message
                )
        self._looked = quarter_of(now)
        return created

    async def _of_project(self, project: Project, now: datetime) -> int:
        states = {(state.branch, state.name): state for state in await self._store.states(project.name)}
        created = 0
        for branch, revision in sorted((await self._pushes.heads(project.name)).items()):
            if branch not in project.branches:
                continue
            raw = await self._repository.file(project, revision, PATH, max_bytes=MAX_BYTES)
            for entry in () if raw is None else parse_cron(raw):
                state = states.get((branch, entry.name))
                created += await self._of_entry(project, branch, revision, entry, state, now)
        return created

    async def _of_entry(
        self,
        project: Project,
        branch: str,
        revision: str,
        entry: CronEntry,
        state: CronState | None,
        now: datetime,
    ) -> int:
        quarter = quarter_of(now)
        if state is None:
            first = CronState(project.name, branch, entry.name, quarter)
            await self._decide(CronDecided(first, None), now)
            return 0
        due = entry.due(project.name, state.decided, now)
        if due is None:
            return 0
        task_id = self._entropy.slugid()
        done = CronDecided(
            CronState(project.name, branch, entry.name, quarter, task_id, "started"), state.decided
        )
        try:
            started = await self._start(project, branch, revision, entry, done, now)
        except StaleSnapshotError:
            self._authorizer.expire()
            return 0
        except StorageError:
            raise
        except LiftlockError as error:
            await self._failed(done, f"{error.code}: {error.message}", now)
            return 0
        if not started:
            await self._failed(done, f"{CONFIG_PATH} asks for no task", now)
        return int(started)

    async def _start(
        self, project: Project, branch: str, revision: str, entry: CronEntry, done: CronDecided, now: datetime
    ) -> bool:
        """Create the task with the role of this run and nothing else; False if the file asks for none."""
        raw = await self._repository.file(project, revision, CONFIG_PATH, max_bytes=MAX_CONFIG_BYTES)
        if raw is None:
            return False
        newest = await self._pushes.pushes(project.name, PushQuery(branch=branch, revision=revision, limit=1))
        number = newest[0].id if newest else None
        task_id = done.state.task_id
        context: dict[str, Any] = cron_context(
            project, branch, revision, entry.context(task_id), number, task_id=task_id, now=now
        )
        file = parse_config(raw)
        task = decision_task(file, context, now=now)
        if task is None:
            return False
        run = DecisionRun(
            task_id=task_id,
            kind="cron",
            at=now,
            project=project.name,
            identity=project.identity,
            trust_domain=project.trust_domain,
            project_level=project.level,
            level=project.level,
            branch=branch,
            revision=revision,
            base_revision=revision,
            owner="cron",
            pushlog_id=-1 if number is None else number,
            config_digest=file.digest,
        )
        role = f"assume:{project.role_prefix}:cron:{entry.name}"
        caller = await self._authorizer.internal(f"{ACTOR}/{project.name}/{entry.name}", [role], now)
        await self._create_task(caller, task_id, task, now, records=(done, run))
        return True

    async def _failed(self, done: CronDecided, why: str, now: datetime) -> None:
        state = done.state
        failed = CronState(state.project, state.branch, state.name, state.decided, "", why)
        await self._decide(CronDecided(failed, done.before), now, why)

    async def _decide(self, decided: CronDecided, now: datetime, why: str | None = None) -> None:
        state = decided.state
        subject = f"project/{state.project}/cron/{state.name}"
        details = {"branch": state.branch, "why": why or "seen for the first time: it runs from now on"}
        audit = AuditRecord(ACTOR, "pushes.cron", subject, "allowed" if why is None else "refused", details)
        try:
            await self._store.decide(decided, Envelope(now, audit=(audit,)))
        except StaleSnapshotError:
            return
