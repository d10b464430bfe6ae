"""The control plane as a worker sees it: claims, reports, artifacts, live log, sources, and calls on a task's behalf.

Answers that a worker must act upon are exceptions of liftlock.errors: ConflictError (409: stop working on the run),
NotFoundError, RefusedError, AuthenticationFailedError, …; QueueUnavailableError when there was no usable answer.

Source: docs/reference/queue.md
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

import msgspec

from liftlock.domain.credentials.certificates import Credentials
from liftlock.errors import LiftlockError

ExceptionReason = Literal[
    "worker-shutdown", "malformed-payload", "resource-unavailable", "internal-error", "intermittent-task"
]
Missing = Literal[
    "file-missing-on-worker",
    "invalid-resource-on-worker",
    "too-large-file-on-worker",
    "file-not-readable-on-worker",
]


class QueueUnavailableError(LiftlockError):
    """The control plane did not answer, or answered that it can't now: try again later."""

    code = "QueueUnavailable"


class RunKey(msgspec.Struct, frozen=True):
    """Which run of which task."""

    task_id: str
    run_id: int

    def __str__(self) -> str:
        return f"{self.task_id}/{self.run_id}"


class Lease(msgspec.Struct, frozen=True):
    """What a claim or reclaim gives.

    `remaining`: how long the claim holds, at most, counted from when the request was sent or answered, whichever is
    known to be safe: by the server's clock where it differs from ours.
    """

    credentials: Credentials
    taken_until: datetime
    remaining: timedelta


class Claim(msgspec.Struct, frozen=True):
    """A run that is ours for as long as the lease holds; `task` is its definition in wire form."""

    run: RunKey
    lease: Lease
    task: dict[str, Any]


class Upload(msgspec.Struct, frozen=True):
    """An artifact whose bytes a descriptor holds from its beginning; `size` is what is sent, encoded."""

    name: str
    content_type: str
    expires: datetime
    fd: int
    size: int
    gzip: bool = False


class ForwardRequest(msgspec.Struct, frozen=True):
    """A task's own request. `target` is path and query, sent byte for byte; `scopes` are what it may use at most.

    `signed` False: sent without credentials (the link carries its own). `length`: of the body; None: not known.
    """

    method: str
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    scopes: tuple[str, ...]
    credentials: Credentials
    signed: bool = True
    length: int | None = 0


class ForwardAnswer(msgspec.Struct, frozen=True):
    """The control plane's answer; `body` yields the bytes as sent, not decoded."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: AsyncIterator[bytes]


class Typed(msgspec.Struct, frozen=True):
    """A piece of what people typed into a shell; `size`: (columns, rows) of the terminal from now on, None: as before."""

    seq: int
    actor: str
    data: bytes
    size: tuple[int, int] | None = None


class QueueClient(Protocol):
    """Speaks to one control plane as one worker. No method repeats a request by itself but where it says so."""

    @property
    def root_url(self) -> str:
        """Return the control plane's address without a slash at the end."""
        ...

    async def claim_work(
        self, queue_id: str, worker_group: str, worker_id: str, count: int
    ) -> tuple[Claim, ...]:
        """Return up to `count` runs, waiting about 20 s if there is no work."""
        ...

    async def give_back(
        self, queue_id: str, worker_group: str, worker_id: str, keep: Collection[RunKey]
    ) -> tuple[RunKey, ...]:
        """End all runs that this worker holds but `keep` as worker-shutdown; return them.

        NotFoundError: this control plane has no such route.
        """
        ...

    async def purge_requests(self, pool_id: str) -> dict[str, datetime]:
        """Return cache name → instant: caches of the pool that were made then or earlier must not be used any more."""
        ...

    async def reclaim(self, run: RunKey, credentials: Credentials) -> Lease:
        """Return the renewed lease. ConflictError: the run is no longer ours."""
        ...

    async def report(
        self, run: RunKey, credentials: Credentials, outcome: Literal["completed", "failed"] | ExceptionReason
    ) -> None:
        """Resolve the run. ConflictError: it is resolved, or the lease lapsed."""
        ...

    async def upload(self, run: RunKey, credentials: Credentials, upload: Upload) -> None:
        """Create the artifact and send its bytes, repeating what failed on the way a few times."""
        ...

    async def link(
        self,
        run: RunKey,
        credentials: Credentials,
        name: str,
        target: str,
        content_type: str,
        expires: datetime,
    ) -> None:
        """Create an artifact that leads to the artifact `target` of the same run."""
        ...

    async def error_artifact(
        self,
        run: RunKey,
        credentials: Credentials,
        name: str,
        reason: Missing,
        message: str,
        expires: datetime,
    ) -> None:
        """Create an artifact that says why there is none."""
        ...

    async def append_log(
        self, run: RunKey, credentials: Credentials, name: str, offset: int, data: bytes
    ) -> int:
        """Append to the live log what begins at `offset`; return how many bytes of it the control plane has now.

        Raises:
            ConflictError: the run is no longer ours to write.
            TooLargeError: a live log takes no more; the whole log is uploaded in the end.
        """
        ...

    async def shell_input(self, run: RunKey, credentials: Credentials, after: int) -> tuple[Typed, ...]:
        """Return what was typed into the run's shell after the piece `after`, waiting about 20 s if there is nothing."""
        ...

    def source(
        self, credentials: Credentials, scopes: Sequence[str], project: str, revision: str
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open the git bundle of a recorded revision, with no more than `scopes`."""
        ...

    async def project_of(self, credentials: Credentials, scopes: Sequence[str], url: str) -> str:
        """Return the name of the project whose identity is `url`, with no more than `scopes`; NotFoundError: none has it."""
        ...

    def artifact(
        self, credentials: Credentials, scopes: Sequence[str], task_id: str, name: str
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open the content (decoded) of an artifact of a task's last run, with no more than `scopes`.

        Only the control plane's own addresses are followed: NotFoundError for artifacts that lie elsewhere.
        """
        ...

    def forward(
        self, request: ForwardRequest, body: AsyncIterator[bytes] | None
    ) -> AbstractAsyncContextManager[ForwardAnswer]:
        """Send a task's request, signed with its scopes, and follow nothing."""
        ...
