"""The exact environment of a task's commands: what the payload says, and what a task may know of its run. Pure."""

from __future__ import annotations

from typing import Any

from liftlock.domain.inputs.places import BUILD
from liftlock.ports.queue_client import RunKey
from liftlock.worker.payload import Payload

PATH = "/usr/local/bin:/usr/bin:/bin"


def environment(
    run: RunKey,
    task: dict[str, Any],
    payload: Payload,
    root_url: str,
    proxy_url: str,
    reached: dict[str, str],
    home: str = BUILD,
) -> dict[str, str]:
    """Return all variables; nothing is inherited. PATH, LANG and `reached` (by which programs find
    the doors of their network) may be the payload's, the others are the worker's.
    """
    fixed = {
        "HOME": home,
        "TASK_ID": run.task_id,
        "RUN_ID": str(run.run_id),
        "TASK_GROUP_ID": str(task.get("taskGroupId", run.task_id)),
        "TASKCLUSTER_ROOT_URL": root_url,
    }
    if payload.api_proxy:
        fixed["TASKCLUSTER_PROXY_URL"] = proxy_url
    return {"PATH": PATH, "LANG": "C.UTF-8"} | reached | payload.env | fixed
