"""A control plane in memory, as a worker sees it: gives the claims that a test puts in, keeps what it is sent."""

from __future__ import annotations

import asyncio
import gzip
import os
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.tasks.interactive import TERMINAL
from liftlock.errors import LiftlockError, NotFoundError
from liftlock.ports.queue_client import (
    Claim,
    ForwardAnswer,
    ForwardRequest,
    Lease,
    RunKey,
    Typed,
    Upload,
)

EXPIRES = "2099-01-01T00:00:00.000Z"


def lease(seconds: float = 1200, token: str = "token-of-the-run-0123") -> Lease:
    """A lease that holds for so long from now."""
    remaining = timedelta(seconds=seconds)
    return Lease(Credentials("task-client/x", token), datetime.now(UTC) + remaining, remaining)


class FakeQueueClient:
    """Implements ports.queue_client.QueueClient. `failures`: errors that a method raises first, by its name."""

    root_url = "http://control.example"

    def __init__(self) -> None:
        self.waiting: asyncio.Queue[Claim] = asyncio.Queue()
        self.failures: dict[str, list[LiftlockError]] = {}
        self.reports: list[tuple[RunKey, str]] = []
        self.reported = asyncio.Event()
        self.kept: list[set[RunKey]] = []
        self.reclaims: list[RunKey] = []
        self.next_lease: Callable[[], Lease] = lease
        self.artifacts: dict[tuple[RunKey, str], bytes] = {}
        self.links: dict[tuple[RunKey, str], str] = {}
        self.errors: dict[tuple[RunKey, str], tuple[str, str]] = {}
        self.live: bytes = b""
        self.terminal: bytes = b""
        self.told = asyncio.Event()
        self.typed: list[Typed] = []
        self.typing = asyncio.Event()
        self.sources: dict[tuple[str, str], bytes] = {}
        self.others: dict[tuple[str, str], bytes] = {}
        self.forwarded: list[tuple[ForwardRequest, bytes | None]] = []
        self.answer: Callable[[ForwardRequest], ForwardAnswer] = lambda _: answer(200, b"{}")
        self.purges: dict[str, datetime] = {}
        self.limits: list[tuple[str, ...]] = []

    def put(
        self, payload: Any, task_id: str = "AAAAAAAAQ2qAAAAAAAAAAA", run_id: int = 0, **more: Any
    ) -> RunKey:
        """Make a task claimable; return its run."""
        run = RunKey(task_id, run_id)
        task = {"payload": payload, "scopes": [], "expires": EXPIRES, "taskGroupId": task_id, **more}
        self.waiting.put_nowait(Claim(run, self.next_lease(), task))
        return run

    def _fail(self, name: str) -> None:
        if self.failures.get(name):
            raise self.failures[name].pop(0)

    async def claim_work(
        self, queue_id: str, worker_group: str, worker_id: str, count: int
    ) -> tuple[Claim, ...]:
        self._fail("claim_work")
        return (await self.waiting.get(),)

    async def give_back(
        self, queue_id: str, worker_group: str, worker_id: str, keep: Collection[RunKey]
    ) -> tuple[RunKey, ...]:
        self.kept.append(set(keep))
        self._fail("give_back")
        return ()

    async def purge_requests(self, pool_id: str) -> dict[str, datetime]:
        self._fail("purge_requests")
        return dict(self.purges)

    async def reclaim(self, run: RunKey, credentials: Credentials) -> Lease:
        self.reclaims.append(run)
        self._fail("reclaim")
        return self.next_lease()

    async def report(self, run: RunKey, credentials: Credentials, outcome: str) -> None:
        self._fail("report")
        self.reports.append((run, outcome))
        self.reported.set()

    async def upload(self, run: RunKey, credentials: Credentials, upload: Upload) -> None:
        self._fail("upload")
        content = os.pread(upload.fd, upload.size, 0)
        self.artifacts[run, upload.name] = gzip.decompress(content) if upload.gzip else content

    async def link(
        self,
        run: RunKey,
        credentials: Credentials,
        name: str,
        target: str,
        content_type: str,
        expires: datetime,
    ) -> None:
        self._fail("link")
        self.links[run, name] = target

    async def error_artifact(
        self, run: RunKey, credentials: Credentials, name: str, reason: str, message: str, expires: datetime
    ) -> None:
        self.errors[run, name] = (reason, message)

    async def append_log(
        self, run: RunKey, credentials: Credentials, name: str, offset: int, data: bytes
    ) -> int:
        self._fail("append_log")
        if name == TERMINAL:
            assert offset == len(self.terminal)
            self.terminal += data
            self.told.set()
            return len(self.terminal)
        assert offset == len(self.live)
        self.live += data
        return len(self.live)

    async def shell_input(self, run: RunKey, credentials: Credentials, after: int) -> tuple[Typed, ...]:
        self._fail("shell_input")
        async with asyncio.timeout(60):
            while not (found := tuple(piece for piece in self.typed if piece.seq > after)):
                self.typing.clear()
                await self.typing.wait()
        return found

    def type(self, actor: str, data: bytes, size: tuple[int, int] | None = None) -> None:
        """Let `actor` type into whatever shell there is."""
        self.typed.append(Typed(len(self.typed) + 1, actor, data, size))
        self.typing.set()

    async def project_of(self, credentials: Credentials, scopes: Sequence[str], url: str) -> str:
        raise NotFoundError(f"no project has the identity {url}")

    @asynccontextmanager
    async def source(
        self, credentials: Credentials, scopes: Sequence[str], project: str, revision: str
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        self._fail("source")
        self.limits.append(tuple(scopes))
        if (project, revision) not in self.sources:
            raise NotFoundError(f"{project} has no recorded revision {revision}")
        yield _chunks(self.sources[project, revision])

    @asynccontextmanager
    async def artifact(
        self, credentials: Credentials, scopes: Sequence[str], task_id: str, name: str
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        self._fail("artifact")
        self.limits.append(tuple(scopes))
        if (task_id, name) not in self.others:
            raise NotFoundError(f"task {task_id} has no artifact {name!r}")
        yield _chunks(self.others[task_id, name])

    @asynccontextmanager
    async def forward(
        self, request: ForwardRequest, body: AsyncIterator[bytes] | None
    ) -> AsyncIterator[ForwardAnswer]:
        self._fail("forward")
        content = None if body is None else b"".join([chunk async for chunk in body])
        self.forwarded.append((request, content))
        yield self.answer(request)

    def log_of(self, run: RunKey) -> str:
        """Return the uploaded log."""
        return self.artifacts[run, "public/logs/live_backing.log"].decode()


def answer(
    status: int, content: bytes, *headers: tuple[bytes, bytes], kind: bytes = b"application/json"
) -> ForwardAnswer:
    """An answer of the control plane."""
    sized = ((b"Content-Type", kind), (b"Content-Length", str(len(content)).encode()), *headers)
    return ForwardAnswer(status, sized, _chunks(content))


async def _chunks(content: bytes, size: int = 1 << 16) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]
