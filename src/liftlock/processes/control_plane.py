"""The control plane's process: holds the database, runs no task's code, opens no privileged secret.

It imports everything first, forks the process that parses hostile content, reads its settings, becomes its own user, and only then
opens its database and answers requests.
"""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import os
import socket
import sys
from pathlib import Path

import msgspec
import uvloop

from liftlock.adapters.parsing.client import ForkedParser
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.migrate import migrate_postgresql, migrate_sqlite
from liftlock.adapters.sql.sqlite_engine import SqliteEngine
from liftlock.adapters.system.clock import SystemClock
from liftlock.adapters.system.entropy import SystemEntropy
from liftlock.adapters.wakeups.in_process import InProcessWakeups
from liftlock.domain.operations.parsing_samples import showing_samples
from liftlock.domain.operations.parsings import SHOWING
from liftlock.errors import IsolationUnavailableError, LiftlockError, StorageError
from liftlock.ports.confined_parser import ConfinedParser
from liftlock.processes import login_file, loops, serving, settings, wiring
from liftlock.processes.journal import configure_logging
from liftlock.processes.parsing_process import fork_parser
from liftlock.processes.parts import login
from liftlock.processes.parts.foundation import check_keys
from liftlock.processes.privileges import die_with_parent, drop_to

DATABASE_FILE = "liftlock.db"
_COLLECT_AFTER = (5_000, 20, 100)
"""Objects, and rounds of the younger generations, after which cycles are looked for: a request makes few that last."""


def main() -> None:
    """Run the control plane with the settings that the supervisor passes."""
    settings_fd, parent_pid = settings.arguments("liftlock's control plane; started by `liftlock up`")
    try:
        channel = fork_parser(SHOWING, showing_samples())
    except LiftlockError as error:
        sys.exit(f"liftlock: {error.code}: {error.message}")
    told = settings.read(settings_fd, settings.ControlPlaneSettings)
    configure_logging("control-plane")
    if told.database is not None:
        _import_postgresql()
    serving.preload()
    login_file.preload(told.login)
    os.umask(0o077)
    channel.send(msgspec.json.encode(told.user))
    drop_to(told.user)
    die_with_parent(parent_pid)
    os.chdir(told.directory)
    try:
        uvloop.run(run(told, ForkedParser(channel)))
    except LiftlockError as error:
        sys.exit(f"liftlock: {error.code}: {error.message}")


def _import_postgresql() -> None:
    if importlib.util.find_spec("asyncpg") is None:
        sys.exit(
            "liftlock: --database names PostgreSQL, and asyncpg is not installed: install liftlock[postgresql]"
        )
    importlib.import_module("liftlock.adapters.sql.postgres_engine")


async def open_engine(database: str | None, directory: Path, wakeups: InProcessWakeups) -> Engine:
    """Return the store's engine, its schema brought up to date."""
    if database is None:
        await migrate_sqlite(directory / DATABASE_FILE)
        return SqliteEngine(directory / DATABASE_FILE, wakeups)
    if not database.startswith(("postgresql://", "postgres://")):
        raise StorageError("--database: expected postgresql://USER:PASSWORD@HOST:PORT/NAME")
    await migrate_postgresql(database)
    from liftlock.adapters.sql.postgres_engine import PostgresEngine  # noqa: PLC0415 -- an extra, imported on need

    return await PostgresEngine.open(database, wakeups)


def _leave_lasting_objects_alone() -> None:
    """Keep the collector of cycles from walking code, routes and schemas again and again, which stops everything else."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)


class _EndsWithParser:
    """Parses; once the process that does it is gone, this one ends as well, and its next start has a new one.

    A new one can't be forked here: it would hold what this process holds.
    """

    def __init__(self, parser: ConfinedParser, stop: asyncio.Event) -> None:
        self._parser = parser
        self._stop = stop

    async def parse(self, parsing: str, given: bytes) -> bytes:
        """Return what the parsing made of it; see the port."""
        try:
            return await self._parser.parse(parsing, given)
        except IsolationUnavailableError:
            self._stop.set()
            raise


async def run(told: settings.ControlPlaneSettings, parser: ConfinedParser) -> None:
    """Serve until asked to end."""
    stop = serving.stop_on_signals()
    parser = _EndsWithParser(parser, stop)
    wakeups = InProcessWakeups()
    engine = await open_engine(told.database, Path(told.directory), wakeups)
    try:
        await check_keys(Path(told.directory), engine)
        await login.offer_first(told, engine, SystemClock())
        plane = wiring.build(told, engine, wakeups, SystemClock(), SystemEntropy(), parser)
        _leave_lasting_objects_alone()
        background = [asyncio.create_task(loops.run(loop, wakeups)) for loop in plane.loops]
        try:
            with socket.socket(fileno=told.listen_fd) as listening:
                await serving.serve(plane.app, listening, stop)
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
    finally:
        await engine.close()


if __name__ == "__main__":
    main()
