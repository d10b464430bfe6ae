"""Checks in the action's own task: that what it is asked to act on is what its scopes were given for."""

from taskgraph.util.taskcluster import get_task_definition


class UnexpectedTaskError(Exception):
    """The task is not one that this action may act on; the message says what was expected."""


def queues(graph_config):
    """Return the queues that this project's tasks run on."""
    aliases = graph_config["workers"]["aliases"].values()
    return {f"{alias['provisioner']}/{alias['worker-type']}" for alias in aliases}


def queue_of(task):
    """Return the queue of a task's definition, in whichever form it names it."""
    return task.get("taskQueueId") or f"{task['provisionerId']}/{task['workerType']}"


def ordinary_task(task_id, task_group_id, parameters, graph_config):
    """Return the definition of the task, after checking its schedulerId, queue, project and group."""
    task = get_task_definition(task_id)
    expectations = (
        ("schedulerId", task["schedulerId"], {f"{graph_config['trust-domain']}-level-{parameters['level']}"}),
        ("queue", queue_of(task), queues(graph_config)),
        ("project", task.get("tags", {}).get("project"), {parameters["project"]}),
        ("taskGroupId", task["taskGroupId"], {task_group_id}),
    )
    for what, observed, expected in expectations:
        if observed not in expected:
            raise UnexpectedTaskError(
                f"task {task_id}: expected {what} {' or '.join(sorted(expected))}, found {observed}"
            )
    return task


def ordinary_label(label, full_task_graph):
    """Raise unless `label` is in the graph and is no part of a release."""
    if label not in full_task_graph.tasks:
        known = ", ".join(sorted(full_task_graph.tasks))
        raise UnexpectedTaskError(f"no task {label!r} in this push's graph; there are {known}")
    if full_task_graph.tasks[label].attributes.get("shipping_phase") not in (None, "build"):
        raise UnexpectedTaskError(f"{label} is part of a release: only release-promotion creates it")
