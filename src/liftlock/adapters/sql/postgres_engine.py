"""PostgreSQL by asyncpg: each script in one transaction; deadlocks and serialization failures run it again."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple, TypeVar

import asyncpg
import structlog

from liftlock.adapters.sql.envelope_script import guards, trail
from liftlock.adapters.sql.joint import ALONE, MAX_TOGETHER, Join, Joint, Party, together
from liftlock.adapters.sql.opening import postgresql_unusable
from liftlock.adapters.sql.script import Dialect, Each, Hold, Rows, Script, Sql, Wake, for_postgresql
from liftlock.errors import LiftlockError, StorageError
from liftlock.ports.envelope import Envelope
from liftlock.ports.wakeups import Wakeups

T = TypeVar("T")

MAX_ATTEMPTS = 8
MAX_JOINED = 2
"""Transactions that serve callers together, at one time and for one kind of operation."""
NOTIFY_CHANNEL = "liftlock_wake"
_NOTICES_EVERY_S = 0.015
_TRANSIENT = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
_log = structlog.get_logger(__name__)


class _Order(NamedTuple):
    future: asyncio.Future[Any]
    script: Callable[[], Script[Any]]
    envelope: Envelope
    join: Join


class _Group:
    """Those who wait to be served together, and how many transactions serve them now."""

    def __init__(self) -> None:
        self.orders: deque[_Order] = deque()
        self.served = 0


async def _nothing_to_reset(_connection: Any) -> None:
    """Leave a connection as it is: no script changes its session, and asking the server to reset it takes a round trip."""


class PostgresEngine:
    """Implements `engine.Engine`. Create it with `open`, inside the event loop that will use it."""

    def __init__(self, pool: Any, wakeups: Wakeups, listener: Any) -> None:
        self._pool = pool
        self._wakeups = wakeups
        self._listener = listener
        self._pending_notices: set[str] = set()
        self._notices = asyncio.Event()
        self._notifier = asyncio.create_task(self._notify_forever())
        self._need_snapshot: set[Any] = set()
        self._groups: dict[Joint, _Group] = {}
        self._serving: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(cls, dsn: str, wakeups: Wakeups, *, connections: int = 8) -> PostgresEngine:
        """Connect, and listen for other control planes' wake-ups.

        Raises:
            StorageError: the server can't be reached or refuses the credentials.
        """
        try:
            pool = await asyncpg.create_pool(
                dsn, min_size=1, max_size=connections, command_timeout=60, reset=_nothing_to_reset
            )
            listener = await asyncpg.connect(dsn)
        except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise postgresql_unusable(dsn, error) from error

        def heard(_connection: object, _pid: int, _channel: str, payload: str) -> None:
            wakeups.wake(payload)

        await listener.add_listener(NOTIFY_CHANNEL, heard)
        return cls(pool, wakeups, listener)

    @property
    def dialect(self) -> Dialect:
        return "postgresql"

    async def read(self, script: Callable[[], Script[T]]) -> T:
        async def snapshot(connection: Any) -> T:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                return await _run(script(), connection, [])

        # A single statement is consistent by itself, and most reads are one: beginning and ending a transaction around
        # it would be two more round trips. A script that turns out to have more begins again, and is remembered.
        code = getattr(script, "__code__", None)
        if code not in self._need_snapshot:
            answer = await self._with_connection(lambda connection: _run_single(script(), connection))
            if answer is not None:
                value: T = answer.value
                return value
            self._need_snapshot.add(code)
        return await self._with_connection(snapshot)

    async def write(
        self, script: Callable[[], Script[T]], envelope: Envelope | None, join: Join | None = None
    ) -> T:
        if join is None or envelope is None:
            return await asyncio.shield(asyncio.ensure_future(self._write_alone(script, envelope)))
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        group = self._groups.setdefault(join.joint, _Group())
        group.orders.append(_Order(future, script, envelope, join))
        if group.served < MAX_JOINED:
            group.served += 1
            self._serving.add(task := asyncio.create_task(self._serve(join.joint, group)))
            task.add_done_callback(self._serving.discard)
        return await future  # a caller that goes away cancels this, and not the write, which goes on

    async def _write_alone(self, script: Callable[[], Script[T]], envelope: Envelope | None) -> T:
        wakes: list[str] = []

        async def attempt(connection: Any) -> T:
            wakes.clear()
            async with connection.transaction():
                if envelope is not None:
                    await _run(guards(envelope), connection, wakes)
                value = await _run(script(), connection, wakes)
                if envelope is not None:
                    await _run(trail([envelope]), connection, wakes)
                return value

        value = await self._with_connection(attempt)
        self._wake(wakes)
        return value

    async def _serve(self, joint: Joint, group: _Group) -> None:
        """Serve callers of `joint`, as many together as wait, until none is left."""
        await asyncio.sleep(0)  # who asks in this turn of the loop comes along
        try:
            while group.orders:
                batch = [group.orders.popleft() for _ in range(min(MAX_TOGETHER, len(group.orders)))]
                left = await self._write_together(joint, batch)
                await asyncio.gather(*map(self._settle_alone, left))
        finally:
            group.served -= 1

    async def _write_together(self, joint: Joint, orders: Sequence[_Order]) -> Sequence[_Order]:
        """Run `joint` for the callers and settle them; return those who must run their own scripts."""
        parties = [Party(order.join.item, order.envelope) for order in orders]
        wakes: list[str] = []

        async def attempt(connection: Any) -> list[Any]:
            wakes.clear()
            async with connection.transaction():
                return await _run(together(joint, "postgresql", parties), connection, wakes)

        try:
            answers = await self._with_connection(attempt)
        except LiftlockError:
            return orders
        except Exception as error:  # noqa: BLE001 -- whatever it is: each caller's own script says it to whom it concerns
            _log.warning("callers could not be served together", joint=joint.__name__, error=repr(error))
            return orders
        self._wake(wakes)
        left = []
        for order, answer in zip(orders, answers, strict=True):
            if answer is ALONE:
                left.append(order)
            elif not order.future.done():
                order.future.set_result(answer)
        return left

    async def _settle_alone(self, order: _Order) -> None:
        try:
            value = await self._write_alone(order.script, order.envelope)
        except Exception as error:  # noqa: BLE001 -- it is the caller's
            if not order.future.done():
                order.future.set_exception(error)
        else:
            if not order.future.done():
                order.future.set_result(value)

    def _wake(self, channels: list[str]) -> None:
        for channel in channels:
            self._wakeups.wake(channel)
            self._pending_notices.add(channel)
        if channels:
            self._notices.set()

    async def close(self) -> None:
        await asyncio.gather(*self._serving)
        self._notifier.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._notifier
        await self._listener.close()
        await self._pool.close()

    async def _with_connection(self, attempt: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        for number in range(1, MAX_ATTEMPTS + 1):
            try:
                async with self._pool.acquire() as connection:
                    return await attempt(connection)
            except _TRANSIENT as error:
                if number == MAX_ATTEMPTS:
                    raise StorageError(
                        f"PostgreSQL: conflicting transactions, {number} attempts: {error}"
                    ) from error
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                raise StorageError(f"PostgreSQL refused, nothing took effect: {error}") from error
        raise StorageError("unreachable: attempts are bounded")

    async def _notify_forever(self) -> None:
        """Tell other control planes, many channels in one go: a notice inside the transaction would serialise commits."""
        while True:
            await self._notices.wait()
            await asyncio.sleep(_NOTICES_EVERY_S)
            self._notices.clear()
            channels, self._pending_notices = sorted(self._pending_notices), set()
            try:
                async with self._pool.acquire() as connection:
                    await connection.execute(
                        "SELECT pg_notify($1, c) FROM unnest($2::text[]) c", NOTIFY_CHANNEL, channels
                    )
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                _log.warning("wake-ups not sent; other control planes will poll", error=str(error))


async def _run(script: Script[T], connection: Any, wakes: list[str]) -> T:
    """Drive a script to its end: each statement's rows are sent back into it."""
    rows: Rows | None = None
    try:
        while True:
            step = script.send(rows) if rows is not None else next(script)
            if isinstance(step, Wake):
                wakes.append(step.channel)
                rows = []
            else:
                rows = [tuple(row) for row in await _fetch(step, connection)]
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        script.close()


class _Answer(NamedTuple):
    value: Any


async def _run_single(script: Script[T], connection: Any) -> _Answer | None:
    """Return the script's result if it asks for one thing only, else None."""
    try:
        step = next(script)
        rows = [] if isinstance(step, Wake) else [tuple(row) for row in await _fetch(step, connection)]
        script.send(rows)
    except StopIteration as end:
        return _Answer(end.value)
    finally:
        script.close()
    return None


async def _fetch(step: Sql | Each | Hold, connection: Any) -> Any:
    """Return the rows of one step, in one round trip."""
    text = for_postgresql(step.text)
    if isinstance(step, Sql):
        return await connection.fetch(text, *step.args)
    if len(step.rows) == 1:
        return await connection.fetch(text, *step.rows[0])
    return await connection.fetchmany(text, step.rows) if step.rows else []
