"""The decision task of a push: the one task that `.taskcluster.yml` renders to.

Source: docs/reference/pushes.md#decision-task
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from liftlock.domain.pushes.config_file import PATH, ConfigFile
from liftlock.domain.templates.template import compile_template
from liftlock.errors import InputInvalidError
from liftlock.values.instants import format_instant

DEFAULT_DEADLINE: Final = timedelta(days=1)
DEFAULT_EXPIRES: Final = timedelta(days=31)


def decision_task(file: ConfigFile, context: dict[str, Any], *, now: datetime) -> dict[str, Any] | None:
    """Return the body of createTask for the decision task, or None if the file wants no task for this push.

    Its id, and the group it starts, are `context["ownTaskId"]`; a rendered `taskId` that names another is refused.

    Raises:
        TemplateRefusedError: the template is wrong or costs too much.
        InputInvalidError: it renders to something else than at most one task.
    """
    rendered = compile_template(file.tasks).render(context, now=now)
    tasks = [] if rendered is None else rendered
    if not isinstance(tasks, list):
        raise InputInvalidError(f"{PATH}: tasks: expected a list once rendered, got {type(tasks).__name__}")
    if len(tasks) > 1:
        raise InputInvalidError(f"{PATH}: tasks: expected one decision task at most, rendered {len(tasks)}")
    if not tasks or tasks[0] is None:
        return None
    if not isinstance(tasks[0], dict):
        raise InputInvalidError(f"{PATH}: tasks[0]: expected a task, got {type(tasks[0]).__name__}")
    return _completed(dict(tasks[0]), str(context["ownTaskId"]), now)


def _completed(task: dict[str, Any], own: str, now: datetime) -> dict[str, Any]:
    if task.pop("taskId", own) != own:
        raise InputInvalidError(f"{PATH}: tasks[0].taskId: expected ownTaskId or nothing")
    if task.setdefault("taskGroupId", own) != own:
        raise InputInvalidError(
            f"{PATH}: tasks[0].taskGroupId: a decision task starts its own group: expected ownTaskId"
        )
    task.setdefault("created", format_instant(now))
    task.setdefault("deadline", format_instant(now + DEFAULT_DEADLINE))
    task.setdefault("expires", format_instant(now + DEFAULT_EXPIRES))
    return task
