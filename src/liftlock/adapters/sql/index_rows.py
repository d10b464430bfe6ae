"""Rows of the index: inserted by requests and by completed tasks alike."""

from __future__ import annotations

import msgspec

from liftlock.adapters.sql.script import Script, Sql
from liftlock.domain.tasks.index_routes import IndexEntry, ancestors, split_namespace


def insert_entry(entry: IndexEntry, task_id: str) -> Script[None]:
    """Let the namespace lead to `task_id`, unless a task of greater rank is there; namespaces live as long as entries."""
    parent, name = split_namespace(entry.namespace)
    data = msgspec.json.encode(entry.data).decode()
    yield Sql(
        "INSERT INTO indexed_task(parent, name, task_id, rank, data, expires) VALUES ($1, $2, $3, $4, $5, $6)"
        " ON CONFLICT (parent, name) DO UPDATE SET task_id = excluded.task_id, rank = excluded.rank,"
        " data = excluded.data, expires = excluded.expires WHERE indexed_task.rank <= excluded.rank",
        (parent, name, task_id, entry.rank, data, entry.expires_ms),
    )
    for path in ancestors(entry.namespace):
        above, last = split_namespace(path)
        yield Sql(
            "INSERT INTO index_namespace(parent, name, expires) VALUES ($1, $2, $3)"
            " ON CONFLICT (parent, name) DO UPDATE SET expires = excluded.expires"
            " WHERE index_namespace.expires < excluded.expires",
            (above, last, entry.expires_ms),
        )
