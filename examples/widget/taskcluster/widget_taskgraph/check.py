"""Before a decision task creates anything, the queue looks at the whole graph: is each output that is read declared?"""

import os

from taskgraph.util.taskcluster import get_root_url, get_session
from taskgraph.util.verify import verifications


@verifications.add("morphed_task_graph")
def check_with_the_queue(task, taskgraph, scratch_pad, graph_config, parameters):
    """Ask the queue; an answer that is no 200 ends the decision task before its first task is created."""
    if task is not None or "TASK_ID" not in os.environ or not taskgraph.tasks:
        return
    graph = {"tasks": {key: planned(one) for key, one in taskgraph.tasks.items()}}
    answer = get_session().post(f"{get_root_url()}/api/queue/v1/check-task-graph", json=graph, timeout=60)
    if answer.status_code != 200:
        raise Exception(f"the queue refuses this graph: {answer.text}")


def planned(task):
    """What the queue needs to know of a task: what it depends on, reads and makes."""
    payload = {key: task.task["payload"][key] for key in ("inputs", "outputs") if key in task.task["payload"]}
    definition = {"metadata": {"name": task.label}, "payload": payload}
    return {"dependencies": task.dependencies, "task": definition}
