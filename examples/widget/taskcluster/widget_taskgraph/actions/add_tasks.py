"""Add tasks: run tasks that exist in the graph but were not part of the push."""

from taskgraph.actions.registry import register_callback_action
from taskgraph.actions.util import create_tasks, fetch_graph_and_labels

from widget_taskgraph.actions.checks import ordinary_label


@register_callback_action(
    name="add-tasks",
    title="Add tasks",
    symbol="add",
    description="Create tasks of the full graph by their labels, as `measure-speed`.",
    order=20,
    context=[],
    schema={
        "type": "object",
        "properties": {
            "tasks": {
                "type": "array",
                "title": "Tasks",
                "description": "Labels of tasks.",
                "items": {"type": "string", "maxLength": 200},
                "minItems": 1,
                "maxItems": 100,
            },
        },
        "required": ["tasks"],
        "additionalProperties": False,
    },
)
def add_tasks(parameters, graph_config, input, task_group_id, task_id):
    decision_id, graph, label_to_taskid = fetch_graph_and_labels(parameters, graph_config, task_group_id)
    labels = (input or {}).get("tasks", [])
    for label in labels:
        ordinary_label(label, graph)
    create_tasks(graph_config, labels, graph, label_to_taskid, parameters, decision_id)
