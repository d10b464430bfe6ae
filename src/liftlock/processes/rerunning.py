"""Runs a task once more in a sandbox of this machine, in a directory of its own that is removed afterwards.

As root it is done by a child that becomes the worker's user for good before it reads anything from the network.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from liftlock.adapters.downloads.addresses import Addresses
from liftlock.adapters.downloads.client import HttpDownloader
from liftlock.adapters.downloads.dialer import GuardedDialer
from liftlock.adapters.queue_http.client import HttpQueueClient
from liftlock.adapters.queue_http.signed_http import SignedHttp
from liftlock.adapters.sandbox.client import BubblewrapSandbox
from liftlock.adapters.sandbox.spawn import launcher_settings, spawn_launcher
from liftlock.adapters.sandbox.users import ensure_users
from liftlock.adapters.sigstore_bundles.verifier import SigstoreVerifier
from liftlock.adapters.store_files.store import FileInputStore
from liftlock.adapters.store_files.wheelhouse import DirectoryWheelhouse
from liftlock.adapters.system.clock import SystemClock
from liftlock.adapters.system.entropy import SystemEntropy
from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.inputs.policy import PoolPolicy
from liftlock.domain.provenance.certificates import WorkerCertificate
from liftlock.domain.provenance.producers import Trust
from liftlock.domain.provenance.published import Published, trust_in
from liftlock.errors import LiftlockError, SandboxFailedError
from liftlock.ports.queue_client import RunKey
from liftlock.ports.signer import UncertifiedError
from liftlock.processes import read_ahead
from liftlock.processes.privileges import UserIds, drop_to
from liftlock.processes.worker_settings import GIB
from liftlock.values.packets import unpack_as
from liftlock.worker.interpreter import Interpreters
from liftlock.worker.journal import Journal
from liftlock.worker.parts import Identity, Parts
from liftlock.worker.payload import Bounds
from liftlock.worker.rerun import LocalQueue, Rerun, rerun

_LATE = ("anyio", "certifi", "h11", "httpcore2", "httpx2", "idna")


@dataclass(frozen=True, slots=True)
class Again:
    """What is to be run: the definition with its inputs pinned, and what this machine lets it read."""

    run: RunKey
    definition: dict[str, Any]
    root_url: str
    credentials: Credentials
    published: Published
    policy: PoolPolicy
    wheelhouse: Path | None


class FixedKeys:
    """Implements `ports.trusted_keys.TrustedKeys` with what was given once."""

    def __init__(self, published: Published) -> None:
        self._published = published

    def current(self) -> Trust:
        """Return what counts."""
        return trust_in(self._published)

    def published(self) -> Published:
        """Return all of it."""
        return self._published


class NullSigner:
    """Implements `ports.signer.WorkerSigner` and signs nothing: nobody vouches for a rerun."""

    key_id = ""

    def sign(self, data: bytes) -> NoReturn:
        """Refuse."""
        raise UncertifiedError("a rerun is not signed")

    async def certificate(self) -> tuple[WorkerCertificate, dict[str, Any]]:
        """Refuse."""
        raise UncertifiedError("a rerun is not signed")


def run_again(what: Again) -> Rerun:
    """Return what became of it.

    Raises:
        IsolationUnavailableError, SandboxFailedError: this machine makes no sandboxes.
    """
    state = Path(tempfile.mkdtemp(prefix="liftlock-rerun-", dir="/var/tmp"))
    try:
        users = ensure_users(str(state), slots=1)
        settings = launcher_settings(
            users,
            identity=state.name.replace("_", "-"),
            scratch_dir=str(state / "scratch"),
            store_dir=str(state / "store"),
            slots=slice(0, 1),
        )
        worker = UserIds(users.worker.uid, users.worker.gid) if users.separate else None
        runs = state / "runs"
        runs.mkdir(mode=0o700)
        if worker is not None:
            os.chown(runs, worker.uid, worker.gid)
        launcher = spawn_launcher(settings, users.locks)
        for lock in users.locks:
            os.close(lock)
        try:
            if worker is None:
                return asyncio.run(_rerun(what, launcher.channel, state))
            return _as_worker(what, launcher.channel, state, worker)
        finally:
            launcher.channel.close()
            launcher.process.wait()
    finally:
        shutil.rmtree(state, ignore_errors=True)


def _as_worker(what: Again, channel: socket.socket, state: Path, worker: UserIds) -> Rerun:
    """Do it in a child that is `worker`."""
    result = os.memfd_create("rerun", os.MFD_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        _child(what, channel, state, worker, result)
    channel.close()
    _, status = os.waitpid(pid, 0)
    with os.fdopen(result, "rb") as file:
        file.seek(0)
        content = file.read()
    if os.waitstatus_to_exitcode(status) != 0:
        raise SandboxFailedError(content.decode("utf-8", "replace") or "the rerun ended without an answer")
    return unpack_as(content, Rerun, what="rerun")


def _child(what: Again, channel: socket.socket, state: Path, worker: UserIds, result: int) -> NoReturn:
    code = 1
    try:
        if not read_ahead.readable_by_all():
            for package in _LATE:
                read_ahead.import_tree(package)
        drop_to(worker)
        answer = msgspec.msgpack.encode(asyncio.run(_rerun(what, channel, state)))
        code = 0
    except LiftlockError as error:
        answer = error.message.encode()
    except BaseException as error:  # noqa: BLE001 - a forked child must not unwind into its parent's code
        answer = repr(error).encode()
    with os.fdopen(result, "wb") as file:
        file.write(answer)
    sys.stderr.flush()
    os._exit(code)


async def _rerun(what: Again, channel: socket.socket, state: Path) -> Rerun:
    sandbox = await BubblewrapSandbox.connect(channel)
    clock, entropy = SystemClock(), SystemEntropy()
    http = SignedHttp(what.root_url, clock, entropy)
    addresses = Addresses(what.policy.private_addresses)
    downloader = HttpDownloader(addresses)
    parts = Parts(
        identity=Identity(what.definition["taskQueueId"], "local", "rerun"),
        queue=LocalQueue(HttpQueueClient(http, what.credentials), what.credentials),
        signer=NullSigner(),
        trusted=FixedKeys(what.published),
        sandbox=sandbox,
        store=FileInputStore(
            state / "store", entropy, max_bytes=what.policy.store_bytes, max_tree_bytes=what.policy.tree_bytes
        ),
        wheelhouse=None if what.wheelhouse is None else DirectoryWheelhouse(what.wheelhouse),
        interpreters=Interpreters(),
        clock=clock,
        journal=Journal(state / "runs"),
        runs_dir=state / "runs",
        bounds=Bounds(4 * GIB, 512, 2.0, 20 * GIB, 24 * 3600, 10 * GIB),
        max_log_bytes=GIB,
        secrets=(what.credentials.access_token,),
        policy=what.policy,
        downloader=downloader,
        dialer=GuardedDialer(addresses),
        bundles=SigstoreVerifier(),
    )
    try:
        return await rerun(parts, what.run, what.definition, what.credentials, state / "runs")
    finally:
        await http.close()
        await downloader.close()
        await sandbox.close()
