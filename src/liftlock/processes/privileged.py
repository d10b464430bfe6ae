"""The privileged worker's process: holds secrets, runs no task code, believes its own configuration only.

Before it reads a setting it forks the process that parses hostile content: so that one never held a secret. As root it then
becomes its own user for good. `python -m liftlock.processes.privileged --settings-fd N --parent-pid N`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
import structlog
import uvloop

from liftlock.adapters.git.targets import GitTargets
from liftlock.adapters.keys.published_keys import PublishedKeys
from liftlock.adapters.keys.sealed_secrets import PUBLIC_FILE, SecretsFolder
from liftlock.adapters.keys.worker_key import WorkerKey
from liftlock.adapters.package_index.client import HttpPackageIndex
from liftlock.adapters.parsing.client import ForkedParser
from liftlock.adapters.queue_http.client import HttpQueueClient
from liftlock.adapters.queue_http.handoff import HttpHandoffClient
from liftlock.adapters.queue_http.signed_http import SignedHttp
from liftlock.adapters.system.clock import SystemClock
from liftlock.adapters.system.entropy import SystemEntropy
from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.operations.definition import parse_operations
from liftlock.domain.operations.parsing_samples import samples
from liftlock.domain.operations.parsings import PARSINGS
from liftlock.errors import LiftlockError
from liftlock.privileged.kinds_installed import check_all, installed, parsings_of
from liftlock.privileged.parts import Parts
from liftlock.privileged.performing import PrivilegedOperation, Tools
from liftlock.privileged.worker import PrivilegedWorker
from liftlock.processes import read_ahead, settings
from liftlock.processes.journal import configure_logging
from liftlock.processes.parsing_process import fork_parser
from liftlock.processes.privileged_settings import PrivilegedSettings
from liftlock.processes.privileges import die_with_parent, drop_to, keep_memory_private

_IMPORTED_LATE: Final = ("anyio", "certifi", "h11", "httpcore2", "httpx2", "idna", "truststore", "uvloop")
_log = structlog.get_logger(__name__)


def main() -> None:
    """Run a privileged worker with the settings that the supervisor passes."""
    settings_fd, parent_pid = settings.arguments("liftlock's privileged worker; started by `liftlock up`")
    try:
        kinds = installed()
        channel = fork_parser(parsings_of(kinds, PARSINGS), samples())
        told = settings.read(settings_fd, PrivilegedSettings)
        configure_logging("privileged-worker")
        os.umask(0o077)
        os.set_inheritable(told.certifier_fd, False)
        if told.user is not None and not read_ahead.readable_by_all():
            for package in _IMPORTED_LATE:
                read_ahead.import_tree(package)
        channel.send(msgspec.json.encode(told.user))
        drop_to(told.user)
        die_with_parent(parent_pid)
        keep_memory_private()
        os.chdir(told.state_dir)
        uvloop.run(run(told, kinds, channel))
    except LiftlockError as error:
        sys.exit(f"liftlock: {error.code}: {error.message}")


async def run(
    told: PrivilegedSettings, kinds: Mapping[str, PrivilegedOperation], channel: socket.socket
) -> None:
    """Serve until asked to end.

    Raises:
        LiftlockError: the configuration names something that this worker can't perform.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    own = parse_operations(told.operations)
    check_all(own, kinds, told.queue_id)
    clock, entropy, state = SystemClock(), SystemEntropy(), Path(told.state_dir)
    secrets = SecretsFolder(state, Path(told.sealed_dir), entropy)
    secrets.publish(state / PUBLIC_FILE)
    http = SignedHttp(told.root_url, clock, entropy, storage_origins=told.storage_origins)
    index = HttpPackageIndex()
    credentials = Credentials(told.client_id, told.access_token)
    parts = Parts(
        queue_id=told.queue_id,
        worker_group=told.worker_group,
        worker_id=told.worker_id,
        credentials=credentials,
        own=own,
        kinds=kinds,
        queue=HttpQueueClient(http, credentials),
        handoff=HttpHandoffClient(http),
        signer=WorkerKey.open(state, socket.socket(fileno=told.certifier_fd), clock, entropy),
        trusted=PublishedKeys(Path(told.published_keys)),
        secrets=secrets,
        tools=Tools(ForkedParser(channel), index, GitTargets(state / "targets")),
        clock=clock,
    )
    _log.info("the privileged worker serves", queue=told.queue_id, kinds=sorted(kinds))
    try:
        await PrivilegedWorker(parts).serve(stop)
    finally:
        await http.close()
        await index.close()


if __name__ == "__main__":
    main()
