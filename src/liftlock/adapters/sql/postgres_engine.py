"""PostgreSQL by asyncpg: each script in one transaction; deadlocks and serialization failures run it again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import asyncpg
import structlog

from liftlock.adapters.sql.envelope_script import guards, trail
from liftlock.adapters.sql.opening import postgresql_unusable
from liftlock.adapters.sql.script import Dialect, Rows, Script, Wake, for_postgresql
from liftlock.errors import StorageError
from liftlock.ports.envelope import Envelope
from liftlock.ports.wakeups import Wakeups

T = TypeVar("T")

MAX_ATTEMPTS = 8
NOTIFY_CHANNEL = "liftlock_wake"
_TRANSIENT = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
_log = structlog.get_logger(__name__)


class PostgresEngine:
    """Implements `engine.Engine`. Create it with `open`, inside the event loop that will use it."""

    def __init__(self, pool: Any, wakeups: Wakeups, listener: Any) -> None:
        self._pool = pool
        self._wakeups = wakeups
        self._listener = listener
        self._pending_notices: set[str] = set()
        self._notices = asyncio.Event()
        self._notifier = asyncio.create_task(self._notify_forever())

    @classmethod
    async def open(cls, dsn: str, wakeups: Wakeups, *, connections: int = 8) -> PostgresEngine:
        """Connect, and listen for other control planes' wake-ups.

        Raises:
            StorageError: the server can't be reached or refuses the credentials.
        """
        try:
            pool = await asyncpg.create_pool(dsn, min_size=1, max_size=connections, command_timeout=60)
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
        async def attempt(connection: Any) -> T:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                return await _run(script(), connection, [])

        return await self._with_connection(attempt)

    async def write(self, script: Callable[[], Script[T]], envelope: Envelope | None) -> T:
        wakes: list[str] = []

        async def attempt(connection: Any) -> T:
            wakes.clear()
            async with connection.transaction():
                if envelope is not None:
                    await _run(guards(envelope), connection, wakes)
                value = await _run(script(), connection, wakes)
                if envelope is not None:
                    await _run(trail(envelope), connection, wakes)
                return value

        value = await asyncio.shield(asyncio.ensure_future(self._with_connection(attempt)))
        for channel in wakes:
            self._wakeups.wake(channel)
            self._pending_notices.add(channel)
        if wakes:
            self._notices.set()
        return value

    async def close(self) -> None:
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
            await asyncio.sleep(0.005)
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
                rows = [tuple(row) for row in await connection.fetch(for_postgresql(step.text), *step.args)]
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        script.close()
