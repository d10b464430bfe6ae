"""Create a loaner: the image, inputs and environment of a task, with a shell in place of its commands.

Whoever types there may do nothing beyond the sandbox: no scopes that the shell could use, no API, no network.
"""

from taskgraph.actions.registry import register_callback_action
from taskgraph.actions.util import combine_task_graph_files, create_tasks, fetch_graph_and_labels

from widget_taskgraph.actions.checks import ordinary_label, ordinary_task

SHELL = ["/bin/sh", "-c", "if command -v bash >/dev/null; then exec bash -i; fi; exec sh -i"]
# The worker fetches inputs with these; nothing in the sandbox can use them.
FETCHING = ("pushes:get-source:", "queue:get-artifact:")
KEPT = ("image", "inputs", "env", "resources", "own", "home")


@register_callback_action(
    name="create-loaner",
    cb_name="widget-create-loaner",
    title="Create a loaner",
    symbol="lo",
    description="Open a shell in this task's sandbox for a while: `liftlock task shell` types into it.",
    order=90,
    permission="create-loaner",
    context=[{"kind": "build"}, {"kind": "test"}, {"kind": "measure"}],
    schema={
        "type": "object",
        "properties": {
            "minutes": {
                "type": "integer",
                "title": "Minutes",
                "description": "After so long the shell ends.",
                "default": 30,
                "minimum": 1,
                "maximum": 120,
            },
        },
        "additionalProperties": False,
    },
)
def create_loaner(parameters, graph_config, input, task_group_id, task_id):
    label = ordinary_task(task_id, task_group_id, parameters, graph_config)["metadata"]["name"]
    minutes = (input or {}).get("minutes", 30)
    decision_id, graph, label_to_taskid = fetch_graph_and_labels(parameters, graph_config, task_group_id)
    ordinary_label(label, graph)

    def lent(task):
        if task.label == label:
            payload = task.task["payload"]
            task.task["payload"] = {
                **{key: payload[key] for key in KEPT if key in payload},
                "command": [SHELL],
                "maxRunTime": 60 * minutes,
                "features": {"shell": True},
            }
            task.task["scopes"] = [one for one in task.task["scopes"] if one.startswith(FETCHING)]
            task.task["routes"] = []
            task.task["metadata"]["name"] = f"{label} (a loaner)"
            task.task["tags"]["kind"] = "loaner"
        return task

    create_tasks(graph_config, {label}, graph, label_to_taskid, parameters, decision_id, "0", modifier=lent)
    combine_task_graph_files(["0"])
