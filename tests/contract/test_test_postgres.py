"""The tests' own PostgreSQL server: it is private, each database is new, and it dies with the run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import asyncpg

import postgres

HOLDER = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
import postgres
with postgres.server() as dsn:
    print(dsn, flush=True)
    time.sleep(600)
"""


async def test_a_new_database_is_empty_and_private_to_its_test(
    postgres_server: str, postgres_dsn: str
) -> None:
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute("CREATE TABLE mine (id bigint)")
    other = postgres.create_database(postgres_server)
    elsewhere = await asyncpg.connect(other)
    try:
        assert await elsewhere.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
        assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 1
    finally:
        await connection.close()
        await elsewhere.close()
        postgres.drop_database(postgres_server, other)


def test_the_server_dies_with_a_killed_test_run() -> None:
    tests = Path(postgres.__file__).parent
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_XDIST", "LIFTLOCK_TEST"))}
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tests)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert holder.stdout is not None
    with holder.stdout:
        dsn = holder.stdout.readline().strip()
    port = int(dsn.rsplit(":", 1)[1].split("/")[0])
    assert postgres._answers(port)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    limit = time.monotonic() + postgres.STOP_LIMIT_S
    while postgres._answers(port) and time.monotonic() < limit:
        time.sleep(0.05)
    assert not postgres._answers(port)
