"""gated: decides on pushes beside the repositories, with a list of bugs, three sockets and no network.

Run by a service manager: `python -P -m liftlock.processes.gated --policy FILE --state DIR --run DIR`. SIGHUP reads the
policy again; SIGTERM ends it. Exit status 1: it could not start, or its state turned out to be corrupt and it must be
started again, which puts the file aside.

Source: docs/reference/gate.md#gated
"""

from __future__ import annotations

import argparse
import asyncio
import os
import pwd
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import structlog

from liftlock.adapters.gate_state.sqlite import SqliteGateState
from liftlock.adapters.system.clock import SystemClock
from liftlock.adapters.system.confinement import serve_only
from liftlock.domain.pushes.gate_policy import GatePolicy, parse_policy
from liftlock.errors import IsolationUnavailableError, LiftlockError
from liftlock.gate.desk import FIRINGS_EVERY_S, Desk
from liftlock.gate.feed_server import FeedServer
from liftlock.gate.hook_server import HookServer
from liftlock.gate.knowledge import Knowledge
from liftlock.gate.ledger import Ledger
from liftlock.gate.metrics import Metrics
from liftlock.gate.operator_requests import MAX_LINE as MAX_OPERATOR_LINE
from liftlock.gate.operator_server import OperatorServer
from liftlock.ports.gate_feed import MAX_LINE as MAX_FEED_LINE
from liftlock.processes.journal import configure_logging
from liftlock.values.instants import to_ms

_log = structlog.get_logger(__name__)
HOOK, FEED, OPERATOR = "hook.sock", "feed.sock", "operator.sock"
BACKLOG = 512


@dataclass(frozen=True, slots=True)
class Settings:
    """Where everything is."""

    policy: Path
    state: Path
    run: Path


def uid_of(user: str) -> int | None:
    """Return the number of a user given by name or number, or None if there is no such name."""
    if user.isdigit():
        return int(user)
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        _log.warning("the policy names a user that does not exist", user=user)
        return None


def read_policy(path: Path) -> GatePolicy:
    """Return the policy in a file; raises InputInvalidError."""
    try:
        return parse_policy(path.read_text(encoding="utf-8"), what=str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise IsolationUnavailableError(f"{path}: {error}") from error


async def serve(settings: Settings) -> int:
    """Serve until told to end; return the exit status."""
    policy = read_policy(settings.policy)
    clock = SystemClock()
    settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.state.chmod(0o700)
    state = SqliteGateState(settings.state / "gate.db", to_ms(clock.now()))
    ending: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def corrupt(why: str) -> None:
        _log.critical("the state is corrupt: ending, to be started again with an empty one", why=why)
        if not ending.done():
            ending.set_result(1)

    ledger = Ledger(state, corrupt)
    knowledge = Knowledge(ledger, clock)
    desk = Desk(policy, knowledge, Metrics(), uid_of)
    await desk.load()
    if state.quarantined is not None:
        _log.critical(
            "the state was corrupt and is put aside; nothing is known", aside=str(state.quarantined)
        )
        await desk.record([desk.entry("feed", "", "gated", "quarantined", path=str(state.quarantined))])
    _handle_signals(settings, desk, ending)
    saving = asyncio.get_running_loop().create_task(_save_firings(desk))
    servers = await _listen(settings.run, desk)
    try:
        serve_only()
    except IsolationUnavailableError as error:
        _log.warning("gated keeps rights that it does not need", error=error.message)
    _log.info("ready", repositories=len(policy.repositories), sources=sorted(knowledge.sources))
    status = await ending
    for server in servers:
        server.close()
    saving.cancel()
    await desk.drain()
    ledger.close()
    return status


def _handle_signals(settings: Settings, desk: Desk, ending: asyncio.Future[int]) -> None:
    loop = asyncio.get_running_loop()

    def reload() -> None:
        try:
            desk.take_policy(read_policy(settings.policy))
        except LiftlockError as error:
            _log.error("the policy was not read again; the old one holds", error=error.message)
            desk.metrics.count("errors_total", kind="policy")
        else:
            _log.info("the policy was read again")

    loop.add_signal_handler(signal.SIGHUP, reload)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: None if ending.done() else ending.set_result(0))


async def _save_firings(desk: Desk) -> None:
    while True:
        await asyncio.sleep(FIRINGS_EVERY_S)
        await desk.save_firings()


async def _listen(folder: Path, desk: Desk) -> list[asyncio.Server]:
    """Open the three sockets. Anybody may connect: the kernel says who it is, and two of them turn strangers away."""
    loop = asyncio.get_running_loop()
    feed, hooks = FeedServer(desk), HookServer(desk)
    operators = OperatorServer(desk, feed)
    paths = {name: str(folder / name) for name in (HOOK, FEED, OPERATOR)}
    servers = [
        await loop.create_unix_server(hooks.connection, paths[HOOK], backlog=BACKLOG),
        await asyncio.start_unix_server(feed.connected, paths[FEED], limit=MAX_FEED_LINE),
        await asyncio.start_unix_server(operators.connected, paths[OPERATOR], limit=MAX_OPERATOR_LINE),
    ]
    for path in paths.values():
        os.chmod(path, 0o666)  # noqa: S103 -- as the docstring says
    return servers


def main() -> None:
    """Run gated to its end."""
    parser = argparse.ArgumentParser(description="Decide on pushes.")
    parser.add_argument("--policy", type=Path, required=True, help="the policy file (TOML)")
    parser.add_argument("--state", type=Path, required=True, help="folder of gated's own state")
    parser.add_argument("--run", type=Path, required=True, help="folder of the sockets")
    given = parser.parse_args()
    configure_logging("gated")
    os.umask(0o077)
    try:
        status = asyncio.run(serve(Settings(given.policy, given.state, given.run)))
    except LiftlockError as error:
        _log.critical("gated could not start", code=error.code, error=error.message)
        status = 1
    sys.exit(status)


if __name__ == "__main__":
    main()
