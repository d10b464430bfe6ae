"""What the privileged worker is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.operations.definition import OperationSet
from liftlock.ports.clock import Clock
from liftlock.ports.handoff import HandoffClient
from liftlock.ports.queue_client import QueueClient
from liftlock.ports.sealed_secrets import SealedSecrets
from liftlock.ports.signer import WorkerSigner
from liftlock.ports.trusted_keys import TrustedKeys
from liftlock.privileged.performing import PrivilegedOperation, Tools


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Everything of one worker. `own`: its own configuration; `kinds`: what it can perform, by name."""

    queue_id: str
    worker_group: str
    worker_id: str
    credentials: Credentials
    own: OperationSet
    kinds: Mapping[str, PrivilegedOperation]
    queue: QueueClient
    handoff: HandoffClient
    signer: WorkerSigner
    trusted: TrustedKeys
    secrets: SealedSecrets
    tools: Tools
    clock: Clock
