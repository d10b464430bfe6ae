"""What time does to tasks: leases lapse, deadlines pass, tasks expire."""

from __future__ import annotations

from liftlock.adapters.sql.script import Script, Sql
from liftlock.adapters.sql.task_rows import locked, store
from liftlock.domain.tasks.lifecycle import RESOLVED, Changed, Sweep, decide
from liftlock.domain.tasks.statuses import Task


def sweep_script(now_ms: int, limit: int) -> Script[int]:
    """Handle up to `limit` tasks that are due, and return how many there were."""
    rows = yield Sql(
        "SELECT task_id FROM task WHERE due <= $1 ORDER BY due, id LIMIT $2 {skip_locked}", (now_ms, limit)
    )
    for (task_id,) in rows:
        # Read again: what an earlier one of this batch did may have changed it.
        found = yield from locked(task_id)
        if found is None:
            continue
        number, task = found
        if task.progress.state in RESOLVED:
            if task.expires_ms <= now_ms:
                yield from _expire(number, task, now_ms)
            continue
        verdict = decide(task.progress, Sweep(), now_ms)
        if isinstance(verdict, Changed):
            yield from store(number, task, verdict.after, now_ms)
    return len(rows)


def _expire(number: int, task: Task, now_ms: int) -> Script[None]:
    """Forget an expired task with all that hangs on it; its blobs are noted as orphans."""
    yield Sql(
        "INSERT INTO orphan_blob(blob, since) SELECT DISTINCT blob, CAST($2 AS BIGINT) FROM artifact"
        " WHERE task_id = $1 AND blob IS NOT NULL ON CONFLICT DO NOTHING",
        (task.task_id, now_ms),
    )
    for table in ("artifact", "upload_ticket", "live_log", "dependency"):
        yield Sql(f"DELETE FROM {table} WHERE task_id = $1", (task.task_id,))  # noqa: S608 -- constants
    yield Sql("DELETE FROM dependency WHERE needed = $1", (task.task_id,))
    yield Sql("DELETE FROM task_definition WHERE id = $1", (number,))
    yield Sql("DELETE FROM task WHERE id = $1", (number,))
    yield Sql(
        "DELETE FROM task_group WHERE group_id = $1 AND NOT EXISTS (SELECT 1 FROM task WHERE task.group_id = $1)",
        (task.task_group_id,),
    )
