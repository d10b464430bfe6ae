"""SQLite: one connection that writes, with many callers' transactions in one commit, and one connection that reads.

Statements run on the event loop: they take microseconds, and a hand-off to a thread for each (which means waiting for
the interpreter's lock) costs several times more. Only the commit, which waits for the disk, runs in a thread; what is
asked meanwhile makes up the next transaction. Each caller's script runs in a savepoint of the shared transaction; its
future resolves only after the shared commit is durable.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import apsw
import structlog

from liftlock.adapters.sql.envelope_script import guards, trail
from liftlock.adapters.sql.joint import ALONE, MAX_TOGETHER, Join, Joint, Party, together
from liftlock.adapters.sql.script import Dialect, Each, Hold, Rows, Script, Sql, Wake, for_sqlite
from liftlock.adapters.sql.sqlite_checkpoints import Checkpoints
from liftlock.errors import LiftlockError, StorageError
from liftlock.ports.envelope import Envelope
from liftlock.ports.wakeups import Wakeups

T = TypeVar("T")

BUSY_TIMEOUT_MS = 10_000
_log = structlog.get_logger(__name__)
_CACHE_KIB = 64 * 1024


class _Order(NamedTuple):
    future: asyncio.Future[Any]
    script: Callable[[], Script[Any]]
    envelope: Envelope | None
    join: Join | None


class _Outcome(NamedTuple):
    future: asyncio.Future[Any]
    value: Any
    error: BaseException | None
    wakes: list[str]


def connect(path: Path, *, read_only: bool = False) -> apsw.Connection:
    """Return a connection with the settings that durability and concurrency need."""
    connection = apsw.Connection(str(path), statementcachesize=256)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"cache_size=-{_CACHE_KIB}",
        "temp_store=MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    if read_only:
        connection.execute("PRAGMA query_only=ON").fetchall()
    return connection


def make_shrinkable(path: Path) -> None:
    """Let an empty database file give freed pages back, step by step; that can't be changed once it has tables."""
    connection = apsw.Connection(str(path))
    try:
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL").fetchall()
        connection.execute("VACUUM").fetchall()
    finally:
        connection.close()


class SqliteEngine:
    """Implements `engine.Engine`. Create it with `open`, inside the event loop that will use it."""

    def __init__(self, path: Path, wakeups: Wakeups) -> None:
        self._loop = asyncio.get_running_loop()
        self._wakeups = wakeups
        self._writer = connect(path)
        self._reader = connect(path, read_only=True)
        self._checkpoints = Checkpoints(self._writer, connect(path))
        self._orders: deque[_Order] = deque()
        self._committer = ThreadPoolExecutor(1, thread_name_prefix="sqlite-commit")
        self._running: asyncio.Task[None] | None = None
        self._need_snapshot: set[Any] = set()
        self._closed = False

    @property
    def dialect(self) -> Dialect:
        return "sqlite"

    async def read(self, script: Callable[[], Script[T]]) -> T:
        reader, code = self._reader, getattr(script, "__code__", None)
        try:
            # A single statement is consistent by itself, and most reads are one. A script that turns out to have more
            # begins again in a transaction, and is remembered.
            if code not in self._need_snapshot:
                answer = _run_single(script(), reader)
                if answer is not None:
                    value: T = answer[0]
                    return value
                self._need_snapshot.add(code)
            reader.execute("BEGIN")
            try:
                return _run(script(), reader, None)
            finally:
                reader.execute("COMMIT")
        except apsw.Error as error:
            raise StorageError(f"SQLite could not read: {error}") from error

    async def write(
        self, script: Callable[[], Script[T]], envelope: Envelope | None, join: Join | None = None
    ) -> T:
        if self._closed:
            raise StorageError("the store is closed")
        future: asyncio.Future[T] = self._loop.create_future()
        self._orders.append(_Order(future, script, envelope, join))
        if self._running is None:
            self._running = self._loop.create_task(self._work())
        return await future  # a caller that goes away cancels this, and not the write, which goes on

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._running is not None:
            await self._running
        self._committer.shutdown()
        await self._checkpoints.close()
        self._writer.close()
        self._reader.close()

    async def _work(self) -> None:
        """Run transactions until no order is left."""
        while self._orders:
            batch = [self._orders.popleft() for _ in range(min(MAX_TOGETHER, len(self._orders)))]
            self._settle(await self._transact(batch))
        self._running = None

    async def _transact(self, batch: list[_Order]) -> list[_Outcome]:
        execute = self._writer.execute
        try:
            execute("BEGIN IMMEDIATE")
            outcomes = _attempt_all(batch, self._writer)
            await self._loop.run_in_executor(self._committer, self._commit)
        except apsw.Error as error:
            with contextlib.suppress(apsw.Error):
                execute("ROLLBACK")
            failure = StorageError(f"SQLite could not commit, nothing took effect: {error}")
            return [_Outcome(order.future, None, failure, []) for order in batch]
        self._checkpoints.look()
        return outcomes

    def _commit(self) -> None:
        self._writer.execute("COMMIT")
        self._checkpoints.after_commit()

    def _settle(self, outcomes: list[_Outcome]) -> None:
        for future, value, error, wakes in outcomes:
            if not future.done():
                if error is None:
                    future.set_result(value)
                else:
                    future.set_exception(error)
            for channel in wakes:
                self._wakeups.wake(channel)


def _attempt_all(orders: Sequence[_Order], connection: apsw.Connection) -> list[_Outcome]:
    """Run the callers' scripts, together where they join, and alone otherwise."""
    alone: list[_Order] = []
    joined: dict[Joint, list[_Order]] = {}
    for order in orders:
        if order.join is None:
            alone.append(order)
        else:
            joined.setdefault(order.join.joint, []).append(order)
    outcomes: list[_Outcome] = []
    for joint, group in joined.items():
        done, left = _attempt_together(joint, group, connection)
        outcomes += done
        alone += left
    return outcomes + [_attempt(order, connection) for order in alone]


def _attempt_together(
    joint: Joint, orders: Sequence[_Order], connection: apsw.Connection
) -> tuple[list[_Outcome], list[_Order]]:
    """Run `joint` for the callers in one savepoint; return what came of it, and who must run its own script."""
    wakes: list[str] = []
    parties = [Party(order.join.item, order.envelope) for order in orders if order.join and order.envelope]
    connection.execute("SAVEPOINT joint")
    try:
        answers = _run(together(joint, "sqlite", parties), connection, wakes)
    except Exception as error:  # noqa: BLE001 -- whatever it is: each caller's own script says it to whom it concerns
        connection.execute("ROLLBACK TO joint")
        connection.execute("RELEASE joint")
        if not isinstance(error, LiftlockError | apsw.ConstraintError):
            _log.warning("callers could not be served together", joint=joint.__name__, error=repr(error))
        return [], list(orders)
    connection.execute("RELEASE joint")
    done: list[_Outcome] = []
    left: list[_Order] = []
    for order, answer in zip(orders, answers, strict=True):
        if answer is ALONE:
            left.append(order)
        else:
            done.append(_Outcome(order.future, answer, None, [] if done else wakes))
    return done, left


def _attempt(order: _Order, connection: apsw.Connection) -> _Outcome:
    """Run one caller's scripts in a savepoint; an exception undoes this caller's statements only."""
    wakes: list[str] = []
    connection.execute("SAVEPOINT caller")
    try:
        if order.envelope is not None:
            _run(guards(order.envelope), connection, wakes)
        value = _run(order.script(), connection, wakes)
        if order.envelope is not None:
            _run(trail([order.envelope]), connection, wakes)
    except Exception as error:  # noqa: BLE001 -- the caller gets it; the other callers of the batch must go on
        connection.execute("ROLLBACK TO caller")
        connection.execute("RELEASE caller")
        if isinstance(error, apsw.Error):
            error = StorageError(f"SQLite refused a statement, nothing took effect: {error}")
        return _Outcome(order.future, None, error, [])
    connection.execute("RELEASE caller")
    return _Outcome(order.future, value, None, wakes)


def _run_single(script: Script[T], connection: apsw.Connection) -> tuple[T] | None:
    """Return the script's result if it asks for one statement only, else None."""
    try:
        step = next(script)
        if not isinstance(step, Sql):
            return None
        script.send(connection.execute(for_sqlite(step.text), step.args).fetchall())
    except StopIteration as end:
        result: T = end.value
        return (result,)
    finally:
        script.close()
    return None


def _run(script: Script[T], connection: apsw.Connection, wakes: list[str] | None) -> T:
    """Drive a script to its end: each statement's rows are sent back into it."""
    rows: Rows | None = None
    try:
        while True:
            step = script.send(rows) if rows is not None else next(script)
            match step:
                case Sql():
                    rows = connection.execute(for_sqlite(step.text), step.args).fetchall()
                case Each():
                    rows = (
                        []
                        if not step.rows
                        else connection.executemany(for_sqlite(step.text), step.rows).fetchall()
                    )
                case Wake():
                    if wakes is not None:
                        wakes.append(step.channel)
                    rows = []
                case Hold():
                    rows = []
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        script.close()
