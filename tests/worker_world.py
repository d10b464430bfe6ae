"""A worker of real sandboxes whose control plane is in memory: a test gives it tasks and sees all that it says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fakes.certified_signer import CertifiedSigner, KnownPools
from fakes.fake_queue_client import FakeQueueClient
from liftlock.adapters.downloads.addresses import Addresses
from liftlock.adapters.downloads.client import HttpDownloader
from liftlock.adapters.downloads.dialer import GuardedDialer
from liftlock.adapters.sigstore_bundles.verifier import SigstoreVerifier
from liftlock.adapters.store_files.store import FileInputStore
from liftlock.adapters.store_files.wheelhouse import DirectoryWheelhouse
from liftlock.adapters.system.clock import SystemClock
from liftlock.adapters.system.entropy import SystemEntropy
from liftlock.domain.inputs.policy import STRICTEST, PoolPolicy
from liftlock.domain.inputs.registry_login import Logins, secrets_in
from liftlock.ports.queue_client import RunKey
from liftlock.worker.interpreter import Interpreters
from liftlock.worker.journal import Journal
from liftlock.worker.parts import Identity, Parts
from liftlock.worker.payload import Bounds
from liftlock.worker.worker import Worker
from sandboxes import KINDS, Machine, machine

MIB = 1 << 20
KIND = KINDS[0]
WORKER_SECRET = "the-workers-own-token"


@dataclass(slots=True)
class World:
    """`outcome` of the last task; `state` is the worker's directory."""

    queue: FakeQueueClient
    machine: Machine
    parts: Parts
    state: Path
    stop: asyncio.Event
    serving: asyncio.Task[bool]
    count: int = 0

    def add(self, payload: Any, **more: Any) -> RunKey:
        """Make a task claimable; return its run."""
        self.count += 1
        given = {"maxRunTime": 60, **payload} if isinstance(payload, dict) else payload
        return self.queue.put(given, task_id=f"AAAAAAAAQ2qAAAAAAAA{self.count:03d}"[:22], **more)

    async def resolved(self, run: RunKey) -> str:
        """Return how a run was reported, once it was."""
        async with asyncio.timeout(60):
            while True:
                found = [outcome for one, outcome in self.queue.reports if one == run]
                if found:
                    return found[0]
                self.queue.reported.clear()
                await self.queue.reported.wait()

    async def run(self, payload: Any, **more: Any) -> tuple[RunKey, str]:
        """Run a task to its end; return it with its outcome."""
        run = self.add(payload, **more)
        return run, await self.resolved(run)

    async def shell(self, script: str, **more: Any) -> tuple[RunKey, str]:
        """Run a shell script as a task; `more` is of its payload."""
        return await self.run({"command": ["sh", "-ec", script], **more})

    def log(self, run: RunKey) -> str:
        """The uploaded log, without the worker's own lines."""
        lines = self.queue.log_of(run).splitlines(keepends=True)
        return "".join(line for line in lines if not line.removeprefix("\x1b[0m").startswith("[liftlock "))

    async def end(self, *, grace_s: float = 0.0) -> bool:
        """Ask the worker to end; return what it says."""
        self.stop.set()
        return await asyncio.wait_for(self.serving, 60)


@asynccontextmanager
async def world(
    tmp_path: Path,
    *,
    kind: str = KIND,
    wheelhouse: Path | None = None,
    max_log_bytes: int = 16 * MIB,
    grace_s: float = 0.0,
    queue: FakeQueueClient | None = None,
    slots: int = 1,
    policy: PoolPolicy = STRICTEST,
    logins: Logins | None = None,
) -> AsyncIterator[World]:
    """A worker that serves until the end of the test."""
    queue = queue or FakeQueueClient()
    downloader = HttpDownloader(Addresses(policy.private_addresses))
    async with machine(kind, slots=slots) as made:
        state = tmp_path / "worker"
        parts = Parts(
            identity=Identity("local/unprivileged", "local", "w"),
            queue=queue,
            signer=CertifiedSigner(),
            trusted=KnownPools(),
            sandbox=made.sandbox,
            store=FileInputStore(made.store, SystemEntropy(), max_tree_bytes=policy.tree_bytes),
            wheelhouse=None if wheelhouse is None else DirectoryWheelhouse(wheelhouse),
            interpreters=Interpreters(),
            clock=SystemClock(),
            journal=Journal(state / "claims"),
            runs_dir=state / "runs",
            bounds=Bounds(512 * MIB, 64, 2.0, 64 * MIB, 120, 32 * MIB),
            max_log_bytes=max_log_bytes,
            secrets=(WORKER_SECRET, *secrets_in(logins or {})),
            policy=policy,
            downloader=downloader,
            dialer=GuardedDialer(Addresses(policy.private_addresses)),
            bundles=SigstoreVerifier(),
            registry_logins=logins or {},
        )
        stop = asyncio.Event()
        serving = asyncio.create_task(Worker(parts).serve(stop, grace_s=grace_s))
        try:
            yield World(queue, made, parts, state, stop, serving)
        finally:
            stop.set()
            await asyncio.wait_for(serving, 60)
            await downloader.close()
