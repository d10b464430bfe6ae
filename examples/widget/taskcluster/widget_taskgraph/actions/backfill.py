"""Backfill: run a task on earlier pushes that did not run it, to find where something changed."""

import logging

from taskgraph.actions.registry import register_callback_action
from taskgraph.actions.util import create_tasks, fetch_graph_and_labels, get_parameters
from taskgraph.parameters import Parameters
from taskgraph.util.taskcluster import get_taskcluster_client
from taskgraph.util.taskgraph import find_decision_task

from widget_taskgraph.actions.checks import ordinary_label, ordinary_task
from widget_taskgraph.pushlog import earlier_pushes

logger = logging.getLogger(__name__)


def labels_in_group(task_group_id):
    """Return the labels of all tasks of the group, however they came there."""
    labels = set()
    get_taskcluster_client("queue").listTaskGroup(
        task_group_id,
        paginationHandler=lambda page: labels.update(
            one["task"]["metadata"]["name"] for one in page["tasks"]
        ),
    )
    return labels


@register_callback_action(
    name="backfill",
    title="Backfill",
    symbol="bk",
    description="Run this task on the pushes before this one, where it did not run.",
    order=30,
    context=[{"kind": "test"}, {"kind": "measure"}],
    schema={
        "type": "object",
        "properties": {
            "depth": {
                "type": "integer",
                "title": "Depth",
                "description": "How many pushes to go back.",
                "default": 5,
                "minimum": 1,
                "maximum": 25,
            },
        },
        "additionalProperties": False,
    },
)
def backfill(parameters, graph_config, input, task_group_id, task_id):
    label = ordinary_task(task_id, task_group_id, parameters, graph_config)["metadata"]["name"]
    depth = (input or {}).get("depth", 5)
    for push in earlier_pushes(
        parameters["project"], parameters["pushlog_id"], parameters["head_ref"], depth
    ):
        where = dict(parameters, head_rev=push.revision, pushlog_id=push.pushlog_id)
        group = find_decision_task(where, graph_config)
        if label in labels_in_group(group):
            logger.info(f"push {push.pushlog_id}: {label} is there already")
            continue
        # The graph and the parameters are those of the earlier push, so the task tests that push's revision.
        theirs = Parameters(**get_parameters(group))
        _, graph, label_to_taskid = fetch_graph_and_labels(theirs, graph_config, group)
        if label not in graph.tasks:
            logger.info(f"push {push.pushlog_id}: its graph has no {label}")
            continue
        ordinary_label(label, graph)
        # The suffix keeps what was created elsewhere out of this push's own label-to-taskid.json.
        create_tasks(graph_config, [label], graph, label_to_taskid, theirs, group, f"push-{push.pushlog_id}")
        logger.info(f"push {push.pushlog_id}: created {label} for {push.revision}")
