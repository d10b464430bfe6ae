"""`liftlock up`: the control plane, its schedulers and local workers, in the foreground.

Ready when `GET /api/auth/v1/ping` answers 200. SIGTERM ends it cleanly; started again on the same state directory it
goes on where it was. Source: docs/reference/up.md
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import os
import secrets
import signal
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from liftlock.adapters.keys.private_files import read_private
from liftlock.adapters.system.clock import SystemClock
from liftlock.adapters.system.entropy import SystemEntropy
from liftlock.domain.inputs.policy import STRICTEST, PoolPolicy, parse_policy
from liftlock.domain.inputs.registry_login import Logins, parse_logins
from liftlock.errors import InputInvalidError, IsolationUnavailableError
from liftlock.processes import local_privileged, local_witness, state_directory
from liftlock.processes.certifying import Certifier
from liftlock.processes.first_sign_in import FirstSignIn
from liftlock.processes.integrations_file import Integrations, read_integrations
from liftlock.processes.journal import configure_logging
from liftlock.processes.local_privileged import LocalPrivileged
from liftlock.processes.local_workers import QUEUE, LocalWorkers
from liftlock.processes.login_file import read_login
from liftlock.processes.settings import ControlPlaneSettings, StaticClientSettings
from liftlock.processes.supervisor import Child, Supervisor

READY_LIMIT_S = 60.0
ISSUER = "static/liftlock/issuer"
_KEPT_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE")


@dataclass(frozen=True, slots=True)
class Options:
    """The command line, checked."""

    state_dir: Path
    host: str
    port: int
    workers: int
    database: str | None
    policy: str | None
    wheelhouse: Path | None
    require_limits: bool
    pool_policy: PoolPolicy
    operations: str | None
    integrations: Integrations
    webhooks_to: tuple[str, ...]
    mail: str | None
    login: str | None
    gate_run: str | None = None
    registry_logins: Logins = field(default_factory=dict, repr=False)

    def told(self) -> dict[str, Any]:
        """Return what of the control plane's settings is passed on as it is."""
        return {
            "database": self.database,
            "policy": self.policy,
            "operations": self.operations,
            "webhooks_to": self.webhooks_to,
            "mail": self.mail,
            "login": self.login,
            "gate_run": self.gate_run,
            **self.integrations.told(),
        }


@click.command()
@click.option(
    "--state-dir",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Where everything is kept.",
)
@click.option(
    "--listen", required=True, metavar="HOST:PORT", help="Address to serve on; port 0 takes a free one."
)
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(0, 64),
    help="Local workers, one task each.",
)
@click.option(
    "--database",
    metavar="URL",
    envvar="LIFTLOCK_DATABASE",
    help="A postgresql:// address, better given as LIFTLOCK_DATABASE; without it SQLite in the state directory.",
)
@click.option(
    "--policy",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The standing policy (TOML).",
)
@click.option(
    "--wheelhouse",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder of wheels that tasks' lock files may name by digest.",
)
@click.option(
    "--require-limits",
    is_flag=True,
    help="Run no task where memory and processes can't be bounded by cgroups.",
)
@click.option(
    "--integrations",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Events that other programs dispatch, and the forge's app (TOML).",
)
@click.option(
    "--pool-policy",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="What the local workers' tasks may read and reach (TOML); without it nothing but what is verified.",
)
@click.option(
    "--registry-credentials",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Logins of the local workers at registries of images (TOML, mode 0600).",
)
@click.option(
    "--operations",
    "operations_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="What may be asked for in two stages, and who approves it (YAML).",
)
@click.option(
    "--login",
    "login_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Identity providers, and programs that may act for people (TOML).",
)
@click.option(
    "--mail",
    metavar="URL",
    envvar="LIFTLOCK_MAIL",
    help="The mail server, smtp[s]://[USER:PASSWORD@]HOST[:PORT]?from=ADDRESS, better given as LIFTLOCK_MAIL.",
)
@click.option(
    "--webhooks-to",
    multiple=True,
    metavar="HOST:PORT",
    help="Webhooks may be sent there although its address is not public; may be repeated.",
)
@click.option(
    "--gate-run",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of gated's sockets on this host: pages show the gate. Its policy must name this user as an operator.",
)
def up(
    state_dir: Path,
    listen: str,
    workers: int,
    database: str | None,
    policy: Path | None,
    wheelhouse: Path | None,
    integrations: Path | None,
    pool_policy: Path | None,
    operations_file: Path | None,
    webhooks_to: tuple[str, ...],
    mail: str | None,
    login_file: Path | None,
    *,
    gate_run: Path | None,
    registry_credentials: Path | None,
    require_limits: bool,
) -> None:
    """Run the control plane, the schedulers and local workers."""
    host, port = _address(listen)
    options = Options(
        state_dir.absolute(),
        host,
        port,
        workers,
        database,
        policy.read_text() if policy else None,
        wheelhouse,
        require_limits,
        parse_policy(pool_policy.read_text()) if pool_policy else STRICTEST,
        operations_file.read_text() if operations_file else None,
        read_integrations(integrations) if integrations else Integrations(),
        webhooks_to,
        mail,
        read_login(login_file) if login_file else None,
        str(gate_run.absolute()) if gate_run else None,
        _logins(registry_credentials),
    )
    configure_logging("supervisor")
    asyncio.run(_run(options))


def _logins(path: Path | None) -> Logins:
    return {} if path is None else parse_logins((read_private(path) or b"").decode("utf-8", "replace"))


def _address(listen: str) -> tuple[str, int]:
    host, colon, port = listen.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise InputInvalidError(f"--listen: expected HOST:PORT such as 127.0.0.1:8765, got {listen!r}")
    return host.strip("[]"), int(port)


async def _run(options: Options) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    lock = state_directory.prepare(options.state_dir)
    try:
        with _listen(options) as listening:
            await _supervise(options, listening, stop)
    finally:
        os.close(lock)


def _listen(options: Options) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((options.host, options.port))
        listening.listen(1024)
    except OSError as error:
        listening.close()
        raise InputInvalidError(f"--listen {options.host}:{options.port}: {error.strerror}") from error
    return listening


async def _supervise(options: Options, listening: socket.socket, stop: asyncio.Event) -> None:
    host = f"[{options.host}]" if ":" in options.host else options.host
    root_url = f"http://{host}:{listening.getsockname()[1]}"
    fresh = not state_directory.read_environment(options.state_dir)
    root_token = _root_credentials(options.state_dir, root_url)
    first = FirstSignIn(SystemEntropy(), wanted=fresh and sys.stderr.isatty())
    certifier = Certifier(options.state_dir, QUEUE, options.pool_policy.level, SystemClock(), SystemEntropy())
    workers = LocalWorkers.prepare(
        options.state_dir,
        options.workers,
        options.wheelhouse,
        root_url,
        require_limits=options.require_limits,
        certifier=certifier,
        policy=options.pool_policy,
        registry_logins=options.registry_logins,
    )
    privileged = local_privileged.prepared(options.state_dir, workers.users, root_url, options.operations)
    certifier.attend()
    for line in workers.isolation_lines:
        click.echo(f"liftlock: {line}", err=True)
    settings = ControlPlaneSettings(
        directory=str(state_directory.own(options.state_dir / "control", workers.control_user)),
        listen_fd=listening.fileno(),
        root_url=root_url,
        static_clients=_clients(root_token, workers, privileged),
        credentials_issuer=ISSUER,
        drop_box=str(state_directory.drop_box(options.state_dir, workers.control_user)),
        published_keys=str(certifier.published_path),
        **options.told(),
        user=workers.control_user,
    )
    witness = local_witness.child(options.state_dir, workers.users, root_url)
    supervisor = Supervisor({name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ})
    control = Child(
        "control plane",
        "liftlock.processes.control_plane",
        lambda: first.settings(settings),
        pass_fds=(listening.fileno(),),
        proven=False,
    )
    watching: asyncio.Task[None] | None = None
    try:
        await supervisor.start(control)
        if await _until_ready(control, root_url, stop):
            control.proven = True
            for child in (*workers.children(), witness):
                await supervisor.start(child)
            if privileged is not None:
                watching = asyncio.create_task(local_privileged.start(supervisor, privileged.child(), stop))
            click.echo(
                f"liftlock: ready at {root_url}; credentials in {options.state_dir}/liftlock.env", err=True
            )
            click.echo(f"liftlock: {first.line(root_url)}", err=True)
        await stop.wait()
        click.echo("liftlock: stopping", err=True)
    finally:
        await supervisor.stop()
        if watching is not None:
            await watching


def _clients(
    root_token: str, workers: LocalWorkers, privileged: LocalPrivileged | None
) -> tuple[StaticClientSettings, ...]:
    return (
        StaticClientSettings(
            state_directory.ROOT_CLIENT, root_token, ("*",), "The root client of this installation."
        ),
        StaticClientSettings(
            ISSUER, _issuer_token(root_token), ("*",), "Issues the credentials of tasks' runs."
        ),
        *workers.clients,
        *(() if privileged is None else (privileged.client,)),
    )


def _issuer_token(root_token: str) -> str:
    """Return the issuer's token, the same at every start: workers hand back runs that they claimed before a restart."""
    return hmac.new(root_token.encode(), b"liftlock: issuer of the credentials of runs", "sha256").hexdigest()


def _root_credentials(state_dir: Path, root_url: str) -> str:
    """Return the root client's token, kept from start to start, and write `liftlock.env`."""
    token = state_directory.read_environment(state_dir).get(
        "TASKCLUSTER_ACCESS_TOKEN"
    ) or secrets.token_urlsafe(33)
    values = {
        "TASKCLUSTER_ROOT_URL": root_url,
        "TASKCLUSTER_CLIENT_ID": state_directory.ROOT_CLIENT,
        "TASKCLUSTER_ACCESS_TOKEN": token,
    }
    state_directory.write_environment(state_dir, values)
    return token


async def _until_ready(control: Child, root_url: str, stop: asyncio.Event) -> bool:
    """Return True once the control plane answers, False if asked to stop before.

    Raises:
        IsolationUnavailableError: it ended with a failure, or did not answer in time.
    """
    host, _, port = root_url.removeprefix("http://").rpartition(":")
    answer, asked, gave_up = waiting = [
        asyncio.ensure_future(each)
        for each in (_answers(host.strip("[]"), int(port)), stop.wait(), control.gave_up.wait())
    ]
    try:
        await asyncio.wait(waiting, timeout=READY_LIMIT_S, return_when=asyncio.FIRST_COMPLETED)
        if asked.done():
            return False
        if gave_up.done():
            raise IsolationUnavailableError("the control plane could not start; what it said is above")
        if not answer.done():
            raise IsolationUnavailableError(
                f"the control plane did not answer within {READY_LIMIT_S:.0f} s; see its log above"
            )
        return True
    finally:
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def _answers(host: str, port: int) -> bool:
    """Return when the control plane answers."""
    while True:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            if await asyncio.wait_for(_ping(host, port), 5):
                return True
        await asyncio.sleep(0.02)


async def _ping(host: str, port: int) -> bool:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(b"GET /api/auth/v1/ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return b" 200 " in await reader.readline()
    finally:
        writer.close()
