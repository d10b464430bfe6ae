"""SQLite: one writer thread that commits many callers' transactions at once, and one connection that reads.

Each caller's script runs in a savepoint of a shared transaction; its future resolves only after the shared commit is
durable. Reads run on the event loop itself: a point read takes microseconds, a hand-off to a thread would cost more.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import apsw

from liftlock.adapters.sql.envelope_script import guards, trail
from liftlock.adapters.sql.script import Dialect, Rows, Script, Wake, for_sqlite
from liftlock.errors import StorageError
from liftlock.ports.envelope import Envelope
from liftlock.ports.wakeups import Wakeups

T = TypeVar("T")

MAX_BATCH = 64
"""Transactions that share one commit at the most."""
BUSY_TIMEOUT_MS = 10_000
_CACHE_KIB = 16 * 1024


class _Order(NamedTuple):
    future: asyncio.Future[Any]
    script: Callable[[], Script[Any]]
    envelope: Envelope | None


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


class SqliteEngine:
    """Implements `engine.Engine`. Create it with `open`, inside the event loop that will use it."""

    def __init__(self, path: Path, wakeups: Wakeups) -> None:
        self._loop = asyncio.get_running_loop()
        self._wakeups = wakeups
        self._orders: queue.SimpleQueue[_Order | None] = queue.SimpleQueue()
        self._writer_connection = connect(path)
        self._reader = connect(path, read_only=True)
        self._closed = False
        self._thread = threading.Thread(target=self._write_forever, name="sqlite-writer", daemon=True)
        self._thread.start()

    @property
    def dialect(self) -> Dialect:
        return "sqlite"

    async def read(self, script: Callable[[], Script[T]]) -> T:
        execute = self._reader.execute
        try:
            execute("BEGIN")
            try:
                return _run(script(), execute, None)
            finally:
                execute("COMMIT")
        except apsw.Error as error:
            raise StorageError(f"SQLite could not read: {error}") from error

    async def write(self, script: Callable[[], Script[T]], envelope: Envelope | None) -> T:
        if self._closed:
            raise StorageError("the store is closed")
        future: asyncio.Future[T] = self._loop.create_future()
        self._orders.put(_Order(future, script, envelope))
        # A caller that goes away must not be told "cancelled" while its change commits: the write goes on.
        return await asyncio.shield(future)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._orders.put(None)
        await asyncio.to_thread(self._thread.join)
        await asyncio.sleep(0)
        self._reader.close()

    def _write_forever(self) -> None:
        while True:
            order = self._orders.get()
            batch, last = self._gather(order)
            if batch:
                outcomes = self._commit(batch)
                self._loop.call_soon_threadsafe(self._settle, outcomes)
            if last:
                self._writer_connection.close()
                return

    def _gather(self, first: _Order | None) -> tuple[list[_Order], bool]:
        """Return what waits now, and whether the end was asked for."""
        batch: list[_Order] = []
        order = first
        while order is not None:
            batch.append(order)
            if len(batch) == MAX_BATCH:
                return batch, False
            try:
                order = self._orders.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True

    def _commit(self, batch: list[_Order]) -> list[_Outcome]:
        execute = self._writer_connection.execute
        try:
            execute("BEGIN IMMEDIATE")
            outcomes = [_attempt(order, execute) for order in batch]
            execute("COMMIT")
        except apsw.Error as error:
            with contextlib.suppress(apsw.Error):
                execute("ROLLBACK")
            failure = StorageError(f"SQLite could not commit, nothing took effect: {error}")
            return [_Outcome(order.future, None, failure, []) for order in batch]
        return outcomes

    def _settle(self, outcomes: list[_Outcome]) -> None:
        for future, value, error, wakes in outcomes:
            if not future.done():
                if error is None:
                    future.set_result(value)
                else:
                    future.set_exception(error)
            for channel in wakes:
                self._wakeups.wake(channel)


def _attempt(order: _Order, execute: Callable[..., apsw.Cursor]) -> _Outcome:
    """Run one caller's scripts in a savepoint; an exception undoes this caller's statements only."""
    wakes: list[str] = []
    execute("SAVEPOINT caller")
    try:
        if order.envelope is not None:
            _run(guards(order.envelope), execute, wakes)
        value = _run(order.script(), execute, wakes)
        if order.envelope is not None:
            _run(trail(order.envelope), execute, wakes)
    except Exception as error:  # noqa: BLE001 -- the caller gets it; the other callers of the batch must go on
        execute("ROLLBACK TO caller")
        execute("RELEASE caller")
        if isinstance(error, apsw.Error):
            error = StorageError(f"SQLite refused a statement, nothing took effect: {error}")
        return _Outcome(order.future, None, error, [])
    execute("RELEASE caller")
    return _Outcome(order.future, value, None, wakes)


def _run(script: Script[T], execute: Callable[..., apsw.Cursor], wakes: list[str] | None) -> T:
    """Drive a script to its end: each statement's rows are sent back into it."""
    rows: Rows | None = None
    try:
        while True:
            step = script.send(rows) if rows is not None else next(script)
            if isinstance(step, Wake):
                if wakes is not None:
                    wakes.append(step.channel)
                rows = []
            else:
                rows = execute(for_sqlite(step.text), step.args).fetchall()
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        script.close()
