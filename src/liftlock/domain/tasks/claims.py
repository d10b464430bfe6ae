"""Claims: leases on runs, the name and the scopes that a claim's temporary credentials carry."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

LEASE = timedelta(minutes=20)
"""How long a claim or reclaim holds; workers reclaim well before."""
LONG_POLL = timedelta(seconds=20)
"""How long claimWork waits for work at the most."""
MAX_TASKS = 32
"""Tasks that one claimWork hands out at the most."""


def client_of(task_id: str, run_id: int, worker_group: str, worker_id: str, until_s: int) -> str:
    """Return the clientId of a claim's credentials; `until_s` is seconds since 1970, when the lease ends."""
    return f"task-client/{task_id}/{run_id}/on/{worker_group}/{worker_id}/until/{until_s}"


def scopes_of(task_id: str, run_id: int, task_scopes: Iterable[str]) -> list[str]:
    """Return the scopes of a claim's credentials: to keep, resolve and fill this run, and the task's own."""
    run = f"{task_id}/{run_id}"
    return [
        f"queue:reclaim-task:{run}",
        f"queue:resolve-task:{run}",
        f"queue:create-artifact:{run}",
        *task_scopes,
    ]
