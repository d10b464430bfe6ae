"""Retrigger the decision: decide this push once more, in a new group. The push's record says what is decided."""

import logging
import os
from urllib.parse import quote

from taskgraph.actions.registry import register_callback_action
from taskgraph.util.taskcluster import get_session

from widget_taskgraph.actions.checks import UnexpectedTaskError, ordinary_task

logger = logging.getLogger(__name__)


@register_callback_action(
    name="retrigger-decision",
    cb_name="widget-retrigger-decision",
    title="Retrigger the decision",
    symbol="rd",
    description="Start the decision task of this push once more, in a task group of its own.",
    order=80,
    context=[{"kind": "decision-task"}],
)
def retrigger_decision(parameters, graph_config, input, task_group_id, task_id):
    task = ordinary_task(task_id, task_group_id, parameters, graph_config)
    kind = task.get("tags", {}).get("kind")
    if kind != "decision-task":
        raise UnexpectedTaskError(f"task {task_id}: expected kind decision-task, found {kind}")
    root, project = os.environ["TASKCLUSTER_PROXY_URL"].rstrip("/"), quote(parameters["project"], safe="")
    # No task is copied: liftlock makes it of the recorded push, with the role of its branch.
    answer = get_session().post(
        f"{root}/api/pushes/v1/project/{project}/push/{int(parameters['pushlog_id'])}/decide-again",
        timeout=60,
    )
    if answer.status_code != 200:
        raise UnexpectedTaskError(f"push {parameters['pushlog_id']}: {answer.text}")
    logger.info(f"push {parameters['pushlog_id']}: decided again as {answer.json()['taskId']}")
