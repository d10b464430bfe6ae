"""Retrigger: run a task of the push again, under a new id."""

from taskgraph.actions.registry import register_callback_action
from taskgraph.actions.util import combine_task_graph_files, create_tasks, fetch_graph_and_labels

from widget_taskgraph.actions.checks import ordinary_label, ordinary_task


@register_callback_action(
    name="retrigger",
    cb_name="widget-retrigger",
    title="Retrigger",
    symbol="rt",
    description="Create a copy of the task, and of the tasks that depend on it if that is wanted.",
    order=10,
    context=[{"kind": "build"}, {"kind": "test"}, {"kind": "measure"}],
    schema={
        "type": "object",
        "properties": {
            "times": {
                "type": "integer",
                "title": "Times",
                "description": "How many copies to create.",
                "default": 1,
                "minimum": 1,
                "maximum": 10,
            },
            "downstream": {
                "type": "boolean",
                "title": "Downstream",
                "description": "Also copy those tasks of the push that depend on this one.",
                "default": False,
            },
        },
        "additionalProperties": False,
    },
)
def retrigger(parameters, graph_config, input, task_group_id, task_id):
    wanted = input or {}
    label = ordinary_task(task_id, task_group_id, parameters, graph_config)["metadata"]["name"]
    decision_id, graph, label_to_taskid = fetch_graph_and_labels(parameters, graph_config, task_group_id)
    ordinary_label(label, graph)
    labels = {label}
    if wanted.get("downstream"):
        labels = graph.graph.transitive_closure(labels, reverse=True).nodes & set(label_to_taskid)
    times = range(wanted.get("times", 1))
    for number in times:
        create_tasks(graph_config, labels, graph, label_to_taskid, parameters, decision_id, str(number))
    combine_task_graph_files([str(number) for number in times])
