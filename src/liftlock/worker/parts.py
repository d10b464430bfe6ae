"""What every run of a worker shares."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from liftlock.domain.inputs.policy import STRICTEST, PoolPolicy
from liftlock.domain.inputs.registry_login import Logins
from liftlock.ports.bundle_verifier import BundleVerifier
from liftlock.ports.clock import Clock
from liftlock.ports.dialer import Dialer
from liftlock.ports.downloads import Downloader
from liftlock.ports.input_store import InputStore, Wheelhouse
from liftlock.ports.queue_client import QueueClient
from liftlock.ports.sandbox import Sandbox
from liftlock.ports.signer import WorkerSigner
from liftlock.ports.trusted_keys import TrustedKeys
from liftlock.worker.interpreter import Interpreters
from liftlock.worker.journal import Journal
from liftlock.worker.payload import Bounds


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this worker is to the queue."""

    queue_id: str
    worker_group: str
    worker_id: str


@dataclass(frozen=True, slots=True)
class Parts:
    """The adapters and settings of one worker. `runs_dir`: logs of running tasks. `secrets`: never to be logged."""

    identity: Identity
    queue: QueueClient
    signer: WorkerSigner
    trusted: TrustedKeys
    sandbox: Sandbox
    store: InputStore
    wheelhouse: Wheelhouse | None
    interpreters: Interpreters
    clock: Clock
    journal: Journal
    runs_dir: Path
    bounds: Bounds
    max_log_bytes: int
    secrets: tuple[str, ...]
    policy: PoolPolicy = STRICTEST
    downloader: Downloader | None = None
    dialer: Dialer | None = None
    bundles: BundleVerifier | None = None
    registry_logins: Logins = field(default_factory=dict, repr=False)
