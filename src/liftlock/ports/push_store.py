"""Registered projects, the push log, and the contents that hooks for actions are made of."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, Protocol

import msgspec

from liftlock.domain.pushes.movements import Movement, PushKind
from liftlock.domain.pushes.project import Project
from liftlock.domain.pushes.push import DecisionState, Push, Standing
from liftlock.ports.envelope import AuditRecord, Envelope

MAX_PAGE = 1_000
AdmissionState = Literal["admitted", "waiting", "withdrawn"]


class NewPush(msgspec.Struct, frozen=True, kw_only=True):
    """A movement to be recorded; its number in the push log is given by the store."""

    movement: Movement
    kind: PushKind
    at: datetime
    owner: str
    owner_standing: Standing
    author: str
    message: str
    task_id: str


class PushQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which pushes of a project: all conditions hold; `after_id` and `before_id` are exclusive bounds."""

    branch: str | None = None
    revision: str | None = None
    after_id: int | None = None
    before_id: int | None = None
    newest_first: bool = True
    limit: int = 100


class DecisionOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a pending push's decision task.

    As a record of an envelope it commits together with the task that it is about.
    """

    project: str
    push_id: int
    decision: DecisionState
    text: str


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """The `.taskcluster.yml` that owns a short name at a level of a trust domain, with the push that brought it first."""

    trust_domain: str
    level: int
    short: str
    digest: str
    project: str
    push_id: int
    at: datetime


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the content `digest` may take effect for a permission; `by` is who said so, or `policy`, or nobody yet.

    Of a withdrawn one, `by` is whose change of policy took it back. `hook_digest` is that of the hook's definition as liftlock made it.
    """

    trust_domain: str
    level: int
    permission: str
    digest: str
    state: AdmissionState
    by: str
    at: datetime
    hook_digest: str


class Withdrawal(msgspec.Struct, frozen=True, kw_only=True):
    """For an envelope's records: the admission is taken back by `by`, if it is still the one that was looked at."""

    admission: Admission
    by: str
    at: datetime


class DecisionRun(msgspec.Struct, frozen=True, kw_only=True):
    """A decision task that is no push's first one: a further one, of a scheduled run, or of a pull request.

    It is what the actions of its group are bound to. As a record of an envelope it commits together with the task.
    `level` is the run's own, `project_level` the project's at that time; `pushlog_id` is that of the push with the
    revision, -1 if there is none, 0 for a pull request.
    """

    task_id: str
    kind: Literal["push", "cron", "pull"]
    at: datetime
    project: str
    identity: str
    trust_domain: str
    project_level: int
    level: int
    branch: str
    revision: str
    base_revision: str
    owner: str
    pushlog_id: int
    config_digest: str


class Audited(msgspec.Struct, frozen=True):
    """For an envelope's records: what another principal than the envelope's caller asked for."""

    record: AuditRecord
    at: datetime


class PushStore(Protocol):
    """The store of pushes. Listings are sorted as they say."""

    async def put_project(
        self, project: Project, heads: Mapping[str, str], envelope: Envelope, *, create: bool
    ) -> None:
        """Store the project; of a new one, `heads` (branch → revision) are what was there before any push.

        Raises:
            ConflictError: it exists already (`create`), does not (not `create`), or another has its identity.
        """
        ...

    async def remove_project(self, name: str, envelope: Envelope) -> None:
        """Remove the project; its push log stays, and goes on if it is registered again. Idempotent."""
        ...

    async def project(self, name: str) -> Project | None:
        """Return the project, or None."""
        ...

    async def projects(self) -> list[Project]:
        """Return all projects, sorted by name."""
        ...

    async def heads(self, name: str) -> dict[str, str]:
        """Return the recorded revision of every branch."""
        ...

    async def record(self, project: Project, new: NewPush, envelope: Envelope) -> Push | None:
        """Return the push, recorded and pending; None if the branch's recorded head is no longer the movement's old one."""
        ...

    async def push(self, project: str, push_id: int) -> Push | None:
        """Return the push, or None."""
        ...

    async def push_of_task(self, task_id: str) -> Push | None:
        """Return the push whose decision task has this id, or None."""
        ...

    async def run_of_task(self, task_id: str) -> DecisionRun | None:
        """Return the scheduled run or pull request whose decision task has this id, or None."""
        ...

    async def pushes(self, project: str, query: PushQuery) -> list[Push]:
        """Return at most `query.limit` pushes, by number."""
        ...

    async def pending(self, limit: int) -> list[Push]:
        """Return pushes whose decision is pending, the oldest first."""
        ...

    async def bringers(self, trust_domain: str, level: int, digest: str) -> list[Push]:
        """Return the pushes whose `.taskcluster.yml` has `digest`, at most `MAX_PAGE`, the oldest first."""
        ...

    async def is_at_a_head(self, trust_domain: str, level: int, digest: str) -> bool:
        """Tell whether the recorded head of some branch was pushed with the `.taskcluster.yml` of `digest`."""
        ...

    async def note_content(
        self, project: str, push_id: int, digest: str, alerts: tuple[str, ...], envelope: Envelope
    ) -> None:
        """Store which `.taskcluster.yml` the push has, and what an operator should look at."""
        ...

    async def finish(self, outcome: DecisionOutcome, envelope: Envelope) -> None:
        """Store what became of the decision, unless it is no longer pending."""
        ...

    async def reopen(self, project: str, push_id: int, envelope: Envelope) -> bool:
        """Make a failed decision pending again, and return whether it had failed."""
        ...

    async def own_short_name(self, content: Content, envelope: Envelope) -> Content:
        """Return the content that owns the short name: this one, if nobody did before."""
        ...

    async def content(self, trust_domain: str, level: int, short: str) -> Content | None:
        """Return the content that owns the short name, or None."""
        ...

    async def put_admission(self, admission: Admission, envelope: Envelope) -> Admission:
        """Return the admission as it is now: stored if there was none, or if it turns one that is not admitted into an admitted one.

        `hook_digest` is always taken over.
        """
        ...

    async def admission(
        self, trust_domain: str, level: int, permission: str, digest: str
    ) -> Admission | None:
        """Return the admission, or None if this content was never brought for that permission."""
        ...

    async def admissions_of(self, trust_domain: str) -> list[Admission]:
        """Return every admission in the trust domain whose state is admitted, by level, permission and digest."""
        ...

    async def admissions(self, state: AdmissionState) -> list[Admission]:
        """Return the admissions in `state`, the newest first, at most `MAX_PAGE`."""
        ...
