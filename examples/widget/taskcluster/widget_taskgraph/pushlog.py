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
    raise NotImplementedError
