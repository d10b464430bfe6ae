"""The store of scheduled runs on both databases."""

from __future__ import annotations

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.records import record_script
from liftlock.adapters.sql.script import Script, Sql
from liftlock.errors import StaleSnapshotError
from liftlock.ports.cron_store import CronDecided, CronState
from liftlock.ports.envelope import Envelope
from liftlock.values.instants import from_ms, to_ms


class SqlCronStore:
    """Implements `ports.cron_store.CronStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def states(self, project: str) -> list[CronState]:
        def script() -> Script[list[CronState]]:
            rows = yield Sql(
                "SELECT branch, name, decided, task_id, result FROM cron_state WHERE project = $1"
                " ORDER BY branch, name",
                (project,),
            )
            return [CronState(project, row[0], row[1], from_ms(row[2]), row[3], row[4]) for row in rows]

        return await self._engine.read(script)

    async def decide(self, decided: CronDecided, envelope: Envelope) -> None:
        await self._engine.write(lambda: put_state(decided), envelope)


@record_script(CronDecided)
def put_state(decided: CronDecided) -> Script[None]:
    """Store the state, unless somebody else did."""
    state = decided.state
    values = (
        state.project,
        state.branch,
        state.name,
        to_ms(state.decided),
        state.task_id,
        state.result[:4000],
    )
    if decided.before is None:
        rows = yield Sql(
            "INSERT INTO cron_state(project, branch, name, decided, task_id, result)"
            " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING 1",
            values,
        )
    else:
        rows = yield Sql(
            "UPDATE cron_state SET decided = $4, task_id = $5, result = $6"
            " WHERE project = $1 AND branch = $2 AND name = $3 AND decided = $7 RETURNING 1",
            (*values, to_ms(decided.before)),
        )
    if not rows:
        raise StaleSnapshotError(f"the run {state.name} of {state.project} was decided meanwhile")
