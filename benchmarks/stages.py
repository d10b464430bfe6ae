"""What a createTask is made of: each stage by itself, in this process, in microseconds of processor time."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import null_server
import uvloop
from client import task_definition
from generator import Signer
from operations import slugid

from liftlock.adapters.sql.migrate import migrate_sqlite
from liftlock.adapters.sql.sqlite_engine import SqliteEngine
from liftlock.adapters.sql.task_store import SqlTaskStore
from liftlock.adapters.wakeups.in_process import InProcessWakeups
from liftlock.domain.credentials.authentication import KnownClient, Signed, authenticate
from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.credentials.hawk import Target
from liftlock.domain.scopes.roles import RoleBook
from liftlock.domain.scopes.satisfaction import ScopeSet, decide
from liftlock.domain.tasks.definition import Definition, define
from liftlock.domain.tasks.requirements import to_create
from liftlock.domain.tasks.statuses import status_of
from liftlock.ports.envelope import AuditRecord, Envelope, Nonce
from liftlock.values.json import decode, encode
from liftlock.web.validation import validate

NOW = datetime.now(UTC)
FAR = datetime(9999, 1, 1, tzinfo=UTC)
AT_ONCE = 16
ROUNDS = 8
TOKEN = "t" * 44


def best_us(action: Callable[[], object], times: int = 200, rounds: int = 15) -> float:
    """Return the least mean, over the rounds, of what `action` takes."""
    means = []
    for _ in range(rounds):
        began = time.thread_time()
        for _ in range(times):
            action()
        means.append((time.thread_time() - began) / times * 1e6)
    return min(means)


def report(write: Callable[[str], object]) -> None:
    """Print the stages and the load's own ceiling."""
    body = json.dumps(task_definition("bench/load")).encode()
    given = decode(body)
    defined = define(slugid(), given, NOW)
    held = ScopeSet(["*"])
    on_loop, in_commit = uvloop.run(_store(AT_ONCE * 25))
    write(
        "\nwhat a createTask is made of (µs of processor time, each stage by itself; HTTP is the row ping above)\n"
    )
    for name, cost in (
        ("crypto: signature and hash of the body", best_us(_authentication(body))),
        ("JSON and JSON Schema", best_us(lambda: validate("queue/create-task-request", decode(body)))),
        ("the definition's rules, with its scopes", best_us(lambda: (define(slugid(), given, NOW), decide(held, to_create(defined))))),
        ("SQL on SQLite, 16 callers at once", on_loop),
        ("its share of the commit, with fsync", in_commit),
    ):  # fmt: skip
        write(f"  {name:44}{cost:7.1f}\n")
    rate, cost = null_server.ceiling()
    write(f"the load by itself, against a server that costs nothing: {rate:.0f}/s, {cost:.0f} µs a request\n")


def _authentication(body: bytes) -> Callable[[], object]:
    credentials = Credentials("bench/load", TOKEN)
    request = Signer("http://127.0.0.1:8000", credentials).request("PUT", "queue/v1/task/x", body)
    header = next(
        line[15:].decode() for line in request.split(b"\r\n") if line.startswith(b"Authorization: ")
    )
    known = KnownClient("bench/load", TOKEN.encode(), ("*",), ScopeSet(["*"]), FAR, disabled=False)
    target = Target("PUT", "/api/queue/v1/task/x", "127.0.0.1", 8000)
    signed, book = Signed(target, header, "application/json", body), RoleBook()
    now = datetime.now(UTC)
    return lambda: authenticate(signed, lambda _id: known, book, now)


async def _store(tasks: int) -> tuple[float, float]:
    """Return what creating a task costs the event loop's thread, and all other threads."""
    with tempfile.TemporaryDirectory(prefix="liftlock-bench-store-") as folder:
        path = Path(folder) / "liftlock.db"
        await migrate_sqlite(path)
        engine = SqliteEngine(path, InProcessWakeups())
        store = SqlTaskStore(engine)
        rounds = [await _create(store, tasks) for _ in range(ROUNDS)]
        await engine.close()
        return min(rounds)


async def _create(store: SqlTaskStore, tasks: int) -> tuple[float, float]:
    waiting = [define(slugid(), task_definition("bench/load"), NOW) for _ in range(tasks)]
    loop, everything = time.thread_time(), time.process_time()

    async def work() -> None:
        while waiting:
            one = waiting.pop()
            task, _created = await store.create(one, [], _envelope(one))
            encode({"status": status_of(task)})

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    loop, everything = time.thread_time() - loop, time.process_time() - everything
    return loop / tasks * 1e6, (everything - loop) / tasks * 1e6


def _envelope(one: Definition) -> Envelope:
    record = AuditRecord("bench/load", "queue.createTask", f"task/{one.task_id}", "changed", {"a": "b"})
    return Envelope(NOW, Nonce("bench/load", int(NOW.timestamp()), one.task_id), 1, (record,))
