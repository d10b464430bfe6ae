"""Reading liftlock's push log, through the task's API proxy."""

import os
from dataclasses import dataclass
from urllib.parse import quote

from taskgraph.util.taskcluster import get_session


@dataclass(frozen=True)
class Push:
    pushlog_id: str
    revision: str


def earlier_pushes(project, pushlog_id, branch, depth):
    """Return at most `depth` pushes to `branch` before `pushlog_id`, the latest first."""
    root = os.environ["TASKCLUSTER_PROXY_URL"].rstrip("/")
    answer = get_session().get(
        f"{root}/api/pushes/v1/project/{quote(project, safe='')}/pushes",
        params={"branch": branch, "beforeId": pushlog_id, "limit": depth},
        timeout=30,
    )
    answer.raise_for_status()
    return [Push(str(push["id"]), push["revision"]) for push in answer.json()["pushes"]]
