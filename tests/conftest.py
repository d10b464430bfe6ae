"""Fixtures that every kind of test may ask for."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import structlog
from hypothesis import settings

import postgres
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.migrate import migrate_postgresql, migrate_sqlite
from liftlock.adapters.sql.postgres_engine import PostgresEngine
from liftlock.adapters.sql.sqlite_engine import SqliteEngine
from liftlock.adapters.wakeups.in_process import InProcessWakeups

# The machine is shared: an example that takes long says nothing about the code.
# The same examples at every run: a red run means a change, not luck. LIFTLOCK_RANDOM_EXAMPLES=1 looks further.
settings.register_profile("liftlock", deadline=None, derandomize="LIFTLOCK_RANDOM_EXAMPLES" not in os.environ)
settings.load_profile("liftlock")
# Log lines go where those of real processes go, so that what a command prints is what a test reads.
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.__stderr__))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The dsn of the test run's own PostgreSQL server."""
    with postgres.server() as dsn:
        yield dsn


@pytest.fixture
def postgres_dsn(postgres_server: str) -> Iterator[str]:
    """The dsn of a new, empty database that is dropped after the test."""
    made = postgres.create_database(postgres_server)
    yield made
    postgres.drop_database(postgres_server, made)


@pytest.fixture(scope="session")
def migrated_template(postgres_server: str) -> Iterator[str]:
    """The name of a database with the newest schema, to copy from."""
    made = postgres.create_database(postgres_server)
    # In a thread of its own: a test's event loop may be running when it first asks for this.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(migrate_postgresql(made))).result()
    yield urlsplit(made).path[1:]
    postgres.drop_database(postgres_server, made)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.xdist_group("postgresql"))])
async def engine(
    request: pytest.FixtureRequest, tmp_path: Path, wakeups: InProcessWakeups
) -> AsyncIterator[Engine]:
    """An engine on an empty, migrated database: each test that asks for it runs on both databases."""
    if request.param == "sqlite":
        await migrate_sqlite(tmp_path / "liftlock.db")
        opened: Engine = SqliteEngine(tmp_path / "liftlock.db", wakeups)
        yield opened
        await opened.close()
        return
    server = request.getfixturevalue("postgres_server")
    dsn = postgres.create_database(server, template=request.getfixturevalue("migrated_template"))
    opened = await PostgresEngine.open(dsn, wakeups, connections=4)
    yield opened
    await opened.close()
    postgres.drop_database(server, dsn)


@pytest.fixture
def wakeups() -> InProcessWakeups:
    """The wake-ups that the engine fixture rings."""
    return InProcessWakeups()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests that run real programs on one worker: two at a time would fight for the machine."""
    for item in items:
        if item.get_closest_marker("process"):
            item.add_marker(pytest.mark.xdist_group("process"))
