"""Create a test task: the allowed exception to "nobody creates tasks by hand".

It is a test of this push with another command: the same inputs and image, the network closed, no scopes, no routes.
"""

from taskgraph.actions.registry import register_callback_action
from taskgraph.actions.util import combine_task_graph_files, create_tasks, fetch_graph_and_labels

from widget_taskgraph.actions.checks import ordinary_label, ordinary_task

MAX_RUN_TIME = 600


@register_callback_action(
    name="create-test-task",
    cb_name="widget-create-test-task",
    title="Create a test task",
    symbol="ct",
    description="Run a command of your own in place of the test's, on the same build.",
    order=60,
    context=[{"kind": "test"}],
    schema={
        "type": "object",
        "properties": {
            "command": {
                "type": "array",
                "title": "Command",
                "description": "The program and its arguments; no shell reads them.",
                "items": {"type": "string", "maxLength": 1000},
                "minItems": 1,
                "maxItems": 50,
            },
        },
        "required": ["command"],
        "additionalProperties": False,
    },
)
def create_test_task(parameters, graph_config, input, task_group_id, task_id):
    label = ordinary_task(task_id, task_group_id, parameters, graph_config)["metadata"]["name"]
    decision_id, graph, label_to_taskid = fetch_graph_and_labels(parameters, graph_config, task_group_id)
    ordinary_label(label, graph)

    def changed(task):
        if task.label == label:
            task.task["payload"]["command"] = [[str(part) for part in input["command"]]]
            task.task["payload"]["maxRunTime"] = MAX_RUN_TIME
            task.task["scopes"], task.task["routes"] = [], []
            task.task["metadata"]["name"] = f"{label} (a command of {parameters['project']}'s people)"
        return task

    create_tasks(
        graph_config, {label}, graph, label_to_taskid, parameters, decision_id, "0", modifier=changed
    )
    combine_task_graph_files(["0"])
