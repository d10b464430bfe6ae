"""Waiting for a task to be resolved."""

from __future__ import annotations

import time
from typing import Final

from liftlock.cli.client import Api
from liftlock.cli.exit_codes import Exit
from liftlock.cli.failures import TaskFailedError, TimedOutError
from liftlock.cli.output import Output

POLL_S: Final = 1.0
_RESOLVED: Final = ("completed", "failed", "exception")


def wait_for_task(api: Api, out: Output, task_id: str, timeout_s: float) -> int:
    """Return `Exit.OK` once the task has completed.

    Raises:
        TaskFailedError: it ended otherwise.
        TimedOutError: it is not resolved after `timeout_s`.
    """
    began, shown = time.monotonic(), ""
    while True:
        state = api.get("queue", "task", task_id, "status")["status"]["state"]
        if state != shown:
            out.progress(f"{task_id}: {state}")
            shown = state
        if state == "completed":
            return Exit.OK
        if state in _RESOLVED:
            raise TaskFailedError(f"task {task_id} ended: {state}")
        if time.monotonic() - began > timeout_s:
            raise TimedOutError(f"task {task_id} is {state} after {timeout_s:.0f} s")
        time.sleep(POLL_S)
