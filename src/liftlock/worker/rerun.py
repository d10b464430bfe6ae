"""One task, run here once more: what it reads comes from the control plane, and nothing of it goes there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.provenance.chain import Output
from liftlock.errors import LiftlockError, NotFoundError
from liftlock.ports.queue_client import (
    Claim,
    ExceptionReason,
    ForwardAnswer,
    ForwardRequest,
    Lease,
    Missing,
    QueueClient,
    RunKey,
    Typed,
    Upload,
)
from liftlock.values.instants import parse_instant
from liftlock.worker.logs.spool import Spool
from liftlock.worker.logs.task_log import TaskLog
from liftlock.worker.outcome import Outcome, RunEndedError
from liftlock.worker.parts import Parts
from liftlock.worker.run_body import RunBody

MAX_LOG_BYTES = 256 << 20


class Rerun(msgspec.Struct, frozen=True):
    """How it ended, what it made, and its log."""

    outcome: Outcome
    outputs: tuple[Output, ...]
    log: str


_NOBODY_TYPES_S: Final = 20.0


class LocalQueue:
    """Implements `ports.queue_client.QueueClient`: reads through `behind`; what a run would write stays here."""

    def __init__(self, behind: QueueClient, credentials: Credentials) -> None:
        self._behind = behind
        self._credentials = credentials

    @property
    def root_url(self) -> str:
        """Return the control plane's address."""
        return self._behind.root_url

    async def claim_work(
        self, queue_id: str, worker_group: str, worker_id: str, count: int
    ) -> tuple[Claim, ...]:
        """Return nothing: the task is given."""
        return ()

    async def give_back(
        self, queue_id: str, worker_group: str, worker_id: str, keep: Collection[RunKey]
    ) -> tuple[RunKey, ...]:
        """Return nothing: nothing was claimed."""
        return ()

    async def purge_requests(self, pool_id: str) -> dict[str, datetime]:
        """Return nothing: caches are new here."""
        return {}

    async def reclaim(self, run: RunKey, credentials: Credentials) -> Lease:
        """Return a lease that nobody takes away."""
        return Lease(self._credentials, datetime.max.replace(tzinfo=UTC), timedelta(days=1))

    async def report(
        self, run: RunKey, credentials: Credentials, outcome: Literal["completed", "failed"] | ExceptionReason
    ) -> None:
        """Tell nobody."""

    async def upload(self, run: RunKey, credentials: Credentials, upload: Upload) -> None:
        """Send nothing: the artifact was measured before."""

    async def link(
        self,
        run: RunKey,
        credentials: Credentials,
        name: str,
        target: str,
        content_type: str,
        expires: datetime,
    ) -> None:
        """Send nothing."""

    async def error_artifact(
        self,
        run: RunKey,
        credentials: Credentials,
        name: str,
        reason: Missing,
        message: str,
        expires: datetime,
    ) -> None:
        """Send nothing: the log says it."""

    async def append_log(
        self, run: RunKey, credentials: Credentials, name: str, offset: int, data: bytes
    ) -> int:
        """Send nothing."""
        return offset + len(data)

    async def shell_input(self, run: RunKey, credentials: Credentials, after: int) -> tuple[Typed, ...]:
        """Wait, and return nothing: nobody types here."""
        await asyncio.sleep(_NOBODY_TYPES_S)
        return ()

    def source(
        self, credentials: Credentials, scopes: Sequence[str], project: str, revision: str
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open a source with the caller's credentials, limited to the task's scopes."""
        return self._behind.source(self._credentials, scopes, project, revision)

    async def project_of(self, credentials: Credentials, scopes: Sequence[str], url: str) -> str:
        """Return a project's name."""
        return await self._behind.project_of(self._credentials, scopes, url)

    def artifact(
        self, credentials: Credentials, scopes: Sequence[str], task_id: str, name: str
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open an artifact with the caller's credentials, limited to the task's scopes."""
        return self._behind.artifact(self._credentials, scopes, task_id, name)

    def forward(
        self, request: ForwardRequest, body: AsyncIterator[bytes] | None
    ) -> AbstractAsyncContextManager[ForwardAnswer]:
        """Refuse: a rerun makes no requests of the task's own."""
        raise NotFoundError("a task that is run again here makes no requests to the control plane")


async def rerun(
    parts: Parts, run: RunKey, definition: dict[str, Any], credentials: Credentials, directory: Path
) -> Rerun:
    """Return what became of `definition` in slot 0; `directory` is ours, for its log.

    Raises:
        SandboxFailedError, IsolationUnavailableError: there is no sandbox here.
    """
    spool = Spool(directory / "log", max_bytes=MAX_LOG_BYTES)
    secrets = (credentials.access_token,)
    lines = TaskLog(spool, parts.clock, secrets=secrets)
    lease = Lease(credentials, parts.clock.now(), timedelta(days=1))
    body = RunBody(
        parts,
        Claim(run, lease, definition),
        0,
        credentials=lambda: credentials,
        held=_held,
        lines=lines,
        expires=parse_instant(definition["expires"], what="expires"),
        directory=directory,
    )
    try:
        outcome: Outcome = await body.perform()
    except RunEndedError as error:
        lines.note(error.message)
        outcome = error.outcome
    except LiftlockError as error:
        lines.note(f"the run can't go on ({error.code}): {error.message}")
        outcome = "internal-error"
    finally:
        await body.remove_scratch()
        spool.close()
    text = await asyncio.to_thread((directory / "log").read_text, "utf-8", "replace")
    return Rerun(outcome, body.outputs, text)


async def _held() -> bool:
    return True
