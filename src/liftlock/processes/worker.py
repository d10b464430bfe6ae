"""The worker's process: claims tasks over HTTP and runs them in sandboxes; holds nothing but its own credentials.

As root it starts the sandbox's launcher, and then becomes the worker's user for good before it reads anything from
the network. `python -m liftlock.processes.worker --settings-fd N --parent-pid N`, as the supervisor starts it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import structlog
import uvloop

from liftlock.adapters.downloads.addresses import Addresses
from liftlock.adapters.downloads.client import HttpDownloader
from liftlock.adapters.downloads.dialer import GuardedDialer
from liftlock.adapters.keys.published_keys import PublishedKeys
from liftlock.adapters.keys.worker_key import WorkerKey
from liftlock.adapters.queue_http.client import HttpQueueClient
from liftlock.adapters.queue_http.signed_http import SignedHttp
from liftlock.adapters.sandbox.client import BubblewrapSandbox
from liftlock.adapters.sandbox.spawn import SpawnedLauncher, spawn_launcher
from liftlock.adapters.sigstore_bundles.verifier import SigstoreVerifier
from liftlock.adapters.store_files.store import FileInputStore
from liftlock.adapters.store_files.wheelhouse import DirectoryWheelhouse
from liftlock.adapters.system.clock import SystemClock
from liftlock.adapters.system.entropy import SystemEntropy
from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.inputs.registry_login import secrets_in
from liftlock.errors import IsolationUnavailableError, LiftlockError
from liftlock.ports.sandbox import Sandbox
from liftlock.processes import read_ahead, settings
from liftlock.processes.journal import configure_logging
from liftlock.processes.privileges import die_with_parent, drop_to
from liftlock.processes.worker_settings import WorkerSettings
from liftlock.worker.interpreter import Interpreters
from liftlock.worker.journal import Journal
from liftlock.worker.parts import Identity, Parts
from liftlock.worker.payload import Bounds
from liftlock.worker.worker import Worker

_IMPORTED_LATE = ("anyio", "certifi", "h11", "httpcore2", "httpx2", "idna", "rich", "truststore", "uvloop")
"""Packages that import parts of themselves when they are first used."""
_log = structlog.get_logger(__name__)


def main() -> None:
    """Run a worker with the settings that the supervisor passes."""
    settings_fd, parent_pid = settings.arguments("a liftlock worker; started by `liftlock up`")
    told = settings.read(settings_fd, WorkerSettings)
    configure_logging(f"worker {told.worker_id}")
    os.umask(0o022)
    os.set_inheritable(told.certifier_fd, False)
    try:
        launcher = spawn_launcher(told.launcher, told.lock_fds)
        for descriptor in told.lock_fds:
            os.close(descriptor)
        if any(key.scheme == "sigstore" for key in told.policy.keys.values()):
            SigstoreVerifier.load()
        if told.user is not None and not read_ahead.readable_by_all():
            for package in _IMPORTED_LATE:
                read_ahead.import_tree(package)
        drop_to(told.user)
        die_with_parent(parent_pid)
        code = uvloop.run(run(told, launcher))
    except LiftlockError as error:
        sys.exit(f"liftlock: {error.code}: {error.message}")
    sys.exit(code)


async def run(told: WorkerSettings, launcher: SpawnedLauncher) -> int:
    """Serve until asked to end; return the exit code."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    sandbox = await BubblewrapSandbox.connect(launcher.channel)
    try:
        reasons = sandbox.isolation.why_not_untrusted()
        if reasons and told.require_limits:
            raise IsolationUnavailableError(
                "this pool takes untrusted work and refuses to run: " + "; ".join(reasons)
            )
        for line in sandbox.isolation.lines():
            _log.info("isolation", fact=line)
        return await _serve(told, sandbox, stop)
    finally:
        await sandbox.close()
        await asyncio.to_thread(launcher.process.wait)


async def _serve(told: WorkerSettings, sandbox: Sandbox, stop: asyncio.Event) -> int:
    clock, entropy = SystemClock(), SystemEntropy()
    http = SignedHttp(told.root_url, clock, entropy, storage_origins=told.storage_origins)
    state = Path(told.state_dir)
    addresses = Addresses(told.policy.private_addresses)
    downloader = HttpDownloader(addresses)
    parts = Parts(
        identity=Identity(told.queue_id, told.worker_group, told.worker_id),
        queue=HttpQueueClient(http, Credentials(told.client_id, told.access_token)),
        signer=WorkerKey.open(state, socket.socket(fileno=told.certifier_fd), clock, entropy),
        trusted=PublishedKeys(Path(told.published_keys)),
        sandbox=sandbox,
        store=FileInputStore(
            Path(told.launcher.store_dir),
            entropy,
            max_bytes=told.policy.store_bytes,
            max_tree_bytes=told.policy.tree_bytes,
        ),
        wheelhouse=None if told.wheelhouse is None else DirectoryWheelhouse(Path(told.wheelhouse)),
        interpreters=Interpreters(),
        clock=clock,
        journal=Journal(state / "claims"),
        runs_dir=state / "runs",
        bounds=Bounds(
            told.memory_bytes, told.pids, told.cpu, told.disk_bytes, told.max_run_s, told.max_artifact_bytes
        ),
        max_log_bytes=told.max_log_bytes,
        secrets=(told.access_token, *secrets_in(told.registry_logins)),
        policy=told.policy,
        downloader=downloader,
        dialer=GuardedDialer(addresses),
        bundles=SigstoreVerifier(),
        registry_logins=told.registry_logins,
    )
    try:
        sound = await Worker(parts).serve(stop, grace_s=told.grace_s)
    finally:
        await http.close()
        await downloader.close()
    return 0 if sound else 1


if __name__ == "__main__":
    main()
