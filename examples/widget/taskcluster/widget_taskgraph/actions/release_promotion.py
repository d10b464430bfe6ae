"""Release promotion: sign the wheel of this push as a release. Who may ask is configured outside of the tree."""

from taskgraph.actions.registry import register_callback_action
from taskgraph.actions.util import create_tasks, fetch_graph_and_labels
from taskgraph.util.taskcluster import status_task_batched

PROMOTION = "promote-release"


class NotReadyError(Exception):
    """The push can't be released; the message says why."""


def completed_dependencies(graph, label_to_taskid):
    """Raise unless every task that the promotion depends on, directly or not, has completed."""
    needed = graph.graph.transitive_closure({PROMOTION}).nodes - {PROMOTION}
    absent = sorted(label for label in needed if label not in label_to_taskid)
    if absent:
        raise NotReadyError(f"not part of this push: {', '.join(absent)}")
    states = status_task_batched([label_to_taskid[label] for label in sorted(needed)])
    for label in sorted(needed):
        state = states.get(label_to_taskid[label], {}).get("state", "unknown")
        if state != "completed":
            raise NotReadyError(f"{label} ({label_to_taskid[label]}): expected completed, found {state}")


@register_callback_action(
    name="release-promotion",
    title="Release promotion",
    symbol="rel",
    description="Sign the wheel of this push as a release of the given version.",
    permission="release-promotion",
    order=500,
    context=[],
    schema={
        "type": "object",
        "properties": {
            "version": {
                "type": "string",
                "title": "Version",
                "description": "Must be the version in version.txt at this push.",
                "pattern": "^[0-9]+\\.[0-9]+\\.[0-9]+$",
            },
            "channel": {"type": "string", "title": "Channel", "enum": ["beta", "release"], "default": "beta"},
        },
        "required": ["version", "channel"],
        "additionalProperties": False,
    },
)
def release_promotion(parameters, graph_config, input, task_group_id, task_id):
    if input["version"] != parameters["version"]:
        raise NotReadyError(
            f"version: expected {parameters['version']} as in version.txt, got {input['version']}"
        )
    decision_id, graph, label_to_taskid = fetch_graph_and_labels(parameters, graph_config, task_group_id)
    completed_dependencies(graph, label_to_taskid)

    def with_input(task):
        if task.label == PROMOTION:
            task.task["payload"]["env"].update(
                RELEASE_VERSION=input["version"], RELEASE_CHANNEL=input["channel"]
            )
        return task

    create_tasks(
        graph_config, [PROMOTION], graph, label_to_taskid, parameters, decision_id, modifier=with_input
    )
