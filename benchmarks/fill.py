"""A database that has been in use for long: completed tasks with definitions, groups, events and audit records."""

from __future__ import annotations

import asyncio
import time

import apsw
from installation import Installation

BLOCK = 20_000
_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last}) "
_ID = "'old' || substr('0000000000000000000' || i, -19)"
_GROUPS = "INSERT INTO task_group(group_id, scheduler_id, sealed) SELECT {id}, 'bench', NULL FROM n"
_TASKS = (
    "INSERT INTO task(task_id, queue_id, scheduler_id, project_id, group_id, expires, rank, routes, tags, state, runs,"
    " retries_left, unmet, retries, deadline, due) SELECT {id}, 'bench/old', 'bench', 'none', {id}, {expires}, 4, '[]',"
    ' \'{{}}\', \'completed\', \'[[0,"completed","scheduled",1,"g","w",1,1,1,"completed"]]\', 5, 0, 5, {expires},'
    " {expires} + i FROM n"
)
_DEFINITIONS = (
    "INSERT INTO task_definition(id, document, index_entries) SELECT t.id, '{document}', '[]' FROM n"
    " JOIN task t ON t.task_id = {id}"
)
_AUDIT = (
    "INSERT INTO audit(at, actor, action, subject, verdict, details)"
    " SELECT 1, 'bench', 'queue.createTask', 'task/' || {id}, 'changed', '{{}}' FROM n"
)
_DOCUMENT = '{"payload":{"command":[["true"]],"filler":"' + "x" * 500 + '"}}'
_EXPIRES = 4_000_000_000_000


def fill(running: Installation, arguments: tuple[str, ...], tasks: int) -> float:
    """Insert `tasks` tasks into the database behind `running`; return how many seconds that took."""
    began = time.perf_counter()
    if arguments:
        asyncio.run(_postgresql(arguments[-1], tasks))
    else:
        _sqlite(running, tasks)
    return time.perf_counter() - began


def _block(first: int, identity: str) -> list[str]:
    numbers = _NUMBERS.format(first=first, last=first + BLOCK - 1)
    given = {"id": identity, "expires": _EXPIRES, "document": _DOCUMENT}
    made = []
    for statement in (_GROUPS, _TASKS, _DEFINITIONS, _AUDIT):
        insert, select = statement.format(**given).split(" SELECT ", 1)
        made.append(f"{numbers}{insert} SELECT {select}")
    return made


def _sqlite(running: Installation, tasks: int) -> None:
    [path] = running.state_dir.rglob("liftlock.db")
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(60_000)
    for first in range(0, tasks, BLOCK):
        connection.execute("BEGIN IMMEDIATE")
        for statement in _block(first, _ID):
            connection.execute(statement)
        connection.execute("COMMIT")
    connection.close()


async def _postgresql(dsn: str, tasks: int) -> None:
    import asyncpg  # noqa: PLC0415 -- only where PostgreSQL is measured

    connection = await asyncpg.connect(dsn)
    for first in range(0, tasks, BLOCK):
        async with connection.transaction():
            for statement in _block(first, "'old' || lpad(i::text, 19, '0')"):
                await connection.execute(statement)
    await connection.execute("ANALYZE")
    await connection.close()
