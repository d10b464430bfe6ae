"""Input of interactive tasks' shells, in SQL."""

from __future__ import annotations

from datetime import datetime

from liftlock.adapters.sql.artifact_rows import writable
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.script import Script, Sql, Wake
from liftlock.ports.envelope import Envelope
from liftlock.ports.shell_store import ShellInput, ShellSize
from liftlock.values.instants import to_ms


class SqlShellStore:
    """Implements `ports.shell_store.ShellStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def type(
        self, task_id: str, run_id: int, data: bytes, size: ShellSize | None, actor: str, envelope: Envelope
    ) -> int:
        def script() -> Script[int]:
            now = to_ms(envelope.now)
            yield from writable(task_id, run_id, now)
            rows = yield Sql(
                "INSERT INTO shell_input(task_id, run_id, seq, at, actor, data, columns, rows)"
                " SELECT $1, $2, COALESCE(MAX(seq), 0) + 1, $3, $4, $5, $6, $7 FROM shell_input"
                " WHERE task_id = $1 AND run_id = $2 RETURNING seq",
                (
                    task_id,
                    run_id,
                    now,
                    actor,
                    data,
                    None if size is None else size.columns,
                    None if size is None else size.rows,
                ),
            )
            yield Wake(channel_of(task_id, run_id))
            return int(rows[0][0])

        return await self._engine.write(script, envelope)

    async def typed(self, task_id: str, run_id: int, after: int, limit: int) -> list[ShellInput]:
        def script() -> Script[list[ShellInput]]:
            rows = yield Sql(
                "SELECT seq, actor, data, columns, rows FROM shell_input"
                " WHERE task_id = $1 AND run_id = $2 AND seq > $3 ORDER BY seq LIMIT $4",
                (task_id, run_id, after, limit),
            )
            return [
                ShellInput(
                    row[0], row[1], bytes(row[2]), None if row[3] is None else ShellSize(row[3], row[4])
                )
                for row in rows
            ]

        return await self._engine.read(script)

    async def has_typed(self, task_id: str, run_id: int, actor: str) -> bool:
        def script() -> Script[bool]:
            rows = yield Sql(
                "SELECT 1 FROM shell_input WHERE task_id = $1 AND run_id = $2 AND actor = $3 LIMIT 1",
                (task_id, run_id, actor),
            )
            return bool(rows)

        return await self._engine.read(script)

    async def forget(self, before: datetime) -> None:
        def script() -> Script[None]:
            yield Sql("DELETE FROM shell_input WHERE at < $1", (to_ms(before),))

        await self._engine.write(script, None)


def channel_of(task_id: str, run_id: int) -> str:
    """Return the channel that is woken with each piece of the run's input."""
    return f"shell:{task_id}/{run_id}"
