"""What every part of the control plane is built on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from liftlock.adapters.keys.sealing import KeyFileSealer
from liftlock.adapters.sql.access_store import SqlAccessStore
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.lease import SqlLeases
from liftlock.adapters.sql.retiring_store import SqlRetiringStore
from liftlock.adapters.sql.scope_uses import SqlScopeUses
from liftlock.adapters.sql.sealed_rows import keys_in_use
from liftlock.adapters.sql.task_store import SqlTaskStore
from liftlock.adapters.wakeups.in_process import InProcessWakeups
from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.operations.definition import OperationSet, parse_operations
from liftlock.errors import StorageError
from liftlock.ports.clock import Clock
from liftlock.ports.entropy import Entropy
from liftlock.processes.loops import Loop
from liftlock.processes.settings import ControlPlaneSettings
from liftlock.services.access_snapshot import AccessCache, StaticClient
from liftlock.services.authorize import Authorizer, Witnesses
from liftlock.services.create_task import CreateTask
from liftlock.services.retiring import WatchRetiring
from liftlock.services.run_credentials import RunCredentials
from liftlock.services.scope_uses import RecordUses
from liftlock.web.routing import Route

KEY_FILE = "keys.json"


@dataclass(frozen=True, slots=True)
class Part:
    """The routes and the background loops of one part."""

    routes: tuple[Route, ...]
    loops: tuple[Loop, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Foundation:
    """Adapters and services that several parts share; `holder` names this process in leases."""

    told: ControlPlaneSettings
    directory: Path
    engine: Engine
    wakeups: InProcessWakeups
    clock: Clock
    entropy: Entropy
    sealer: KeyFileSealer
    access_store: SqlAccessStore
    access: AccessCache
    uses: RecordUses
    retiring: WatchRetiring
    authorizer: Authorizer
    tasks: SqlTaskStore
    create_task: CreateTask
    credentials: RunCredentials
    leases: SqlLeases
    holder: str
    operations: OperationSet


def lay(
    told: ControlPlaneSettings, engine: Engine, wakeups: InProcessWakeups, clock: Clock, entropy: Entropy
) -> Foundation:
    """Return the foundation for `told` on `engine`."""
    directory = Path(told.directory)
    sealer = KeyFileSealer.open(directory / KEY_FILE, entropy)
    access_store = SqlAccessStore(engine)
    access = AccessCache(access_store, sealer, _static_clients(told))
    uses = RecordUses(SqlScopeUses(engine), access)
    retiring = WatchRetiring(SqlRetiringStore(engine), access)
    issuer = next(client for client in told.static_clients if client.client_id == told.credentials_issuer)
    tasks = SqlTaskStore(engine)
    operations = OperationSet() if told.operations is None else parse_operations(told.operations)
    return Foundation(
        told=told,
        directory=directory,
        engine=engine,
        wakeups=wakeups,
        clock=clock,
        entropy=entropy,
        sealer=sealer,
        access_store=access_store,
        access=access,
        uses=uses,
        retiring=retiring,
        authorizer=Authorizer(access, Witnesses(uses, retiring)),
        tasks=tasks,
        create_task=CreateTask(tasks, operations.privileged_queues),
        credentials=RunCredentials(Credentials(issuer.client_id, issuer.access_token), entropy),
        leases=SqlLeases(engine),
        holder=entropy.slugid(),
        operations=operations,
    )


async def check_keys(directory: Path, engine: Engine) -> None:
    """Return if the key file has every key that something in the database was sealed with.

    Raises:
        StorageError: it lacks one. A new file would start well and open nothing of what is stored.
    """
    path = directory / KEY_FILE
    missing = await keys_in_use(engine) - KeyFileSealer.key_ids(path)
    if missing:
        state = "lacks" if path.exists() else "is absent, and with it"
        raise StorageError(
            f"the key file {path} {state} {', '.join(sorted(missing))}, by which clients, secrets or hooks in the"
            " database are sealed: restore the key file from the backup"
        )


def _static_clients(told: ControlPlaneSettings) -> list[StaticClient]:
    return [
        StaticClient(
            client_id=client.client_id,
            access_token=client.access_token,
            scopes=client.scopes,
            description=client.description,
        )
        for client in told.static_clients
    ]
