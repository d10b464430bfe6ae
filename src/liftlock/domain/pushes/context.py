"""What `.taskcluster.yml` is rendered with when a push has landed.

For a git repository `tasks_for` is `github-push`, the one value by which taskgraph knows a push to git, and beside
`push` and `repository` there is an `event` of the form that templates written for that forge read. For a Mercurial
repository it is `hg-push`, without an `event`.

Source: docs/reference/pushes.md#context
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from liftlock.domain.pushes.project import Project
from liftlock.domain.pushes.push import Commit, Push
from liftlock.values.instants import format_instant

TASKS_FOR: Final = {"git": "github-push", "hg": "hg-push"}


def push_context(project: Project, push: Push, commit: Commit, *, now: datetime) -> dict[str, Any]:
    """Return the context: tasks_for, push, repository, event, ownTaskId, taskGroupId, now (ISO text).

    Levels and push log ids are text, as taskgraph's parameters and the payloads of its actions hold them.
    """
    return {
        "tasks_for": TASKS_FOR[project.vcs],
        "push": {
            "owner": push.owner,
            "comment": push.message,
            "pushlog_id": str(push.id),
            "pushdate": int(push.at.timestamp()),
            "revision": push.revision,
            "base_revision": push.base_revision,
            "branch": push.branch,
        },
        "repository": {
            "url": project.identity,
            "base_url": project.identity,
            "project": project.name,
            "level": str(project.level),
            "type": project.vcs,
        },
        **({"event": _event(project, push, commit)} if project.vcs == "git" else {}),
        "ownTaskId": push.task_id,
        "taskGroupId": push.task_id,
        "now": format_instant(now),
    }


def cron_context(
    project: Project,
    branch: str,
    revision: str,
    cron: dict[str, Any],
    push_id: int | None,
    *,
    task_id: str,
    now: datetime,
) -> dict[str, Any]:
    """Return the context of a scheduled run; it has no event.

    Args:
        cron: As `CronEntry.context` returns it.
        push_id: The push that brought the revision; None if it was there when the project was registered.
    """
    return {
        "tasks_for": "cron",
        "cron": cron,
        "push": {
            "owner": "cron",
            "comment": "",
            "pushlog_id": "-1" if push_id is None else str(push_id),
            "pushdate": int(now.timestamp()),
            "revision": revision,
            "base_revision": revision,
            "branch": branch,
        },
        "repository": {
            "url": project.identity,
            "base_url": project.identity,
            "project": project.name,
            "level": str(project.level),
            "type": project.vcs,
        },
        "ownTaskId": task_id,
        "taskGroupId": task_id,
        "now": format_instant(now),
    }


def _event(project: Project, push: Push, commit: Commit) -> dict[str, Any]:
    path = project.identity.removeprefix("https://").partition("/")[2]
    owner, _, name = path.rpartition("/")
    return {
        "ref": f"refs/heads/{push.branch}",
        "before": push.base_revision,
        "after": push.revision,
        "created": push.kind == "created",
        "deleted": False,
        "forced": push.kind == "forced",
        "repository": {
            "name": name,
            "full_name": path,
            "html_url": project.identity,
            "url": project.identity,
            "clone_url": f"{project.identity}.git",
            "owner": {"login": owner, "name": owner},
        },
        "pusher": {"name": push.owner.partition("@")[0], "email": push.owner},
        "sender": {"login": push.owner.partition("@")[0]},
        "head_commit": {
            "id": commit.revision,
            "message": push.message,
            "timestamp": format_instant(commit.committed),
            "author": {"name": commit.author_name, "email": commit.author_email},
        },
    }
