"""Whether a task is the one that its decision (or action) task generated.

A generated definition lacks what is filled in when the task is created: instants, the group, the queue's defaults.

Source: docs/reference/provenance.md#graph
"""

from __future__ import annotations

from typing import Any, Final

from liftlock.domain.provenance.keys import UntrustedError
from liftlock.errors import InputInvalidError, MalformedPayloadError
from liftlock.values.instants import parse_instant
from liftlock.values.json import decode

_DEFAULTS: Final[dict[str, Any]] = {
    "projectId": "none",
    "requires": "all-completed",
    "priority": "lowest",
    "retries": 5,
    "routes": [],
    "scopes": [],
    "dependencies": [],
    "tags": {},
    "extra": {},
}
_RELATIVE: Final = "relative-datestamp"


def generated_by(document: bytes, task_id: str, task: dict[str, Any], creator: str) -> str | None:
    """Return None if the graph in `document` holds the definition `task`, else what differs.

    Args:
        creator: The task that made the graph: tasks without a dependency in it depend on it, or on its group.
    Raises:
        UntrustedError: the document is no graph.
    """
    try:
        graph = decode(document, what="graph of tasks")
    except MalformedPayloadError as error:
        raise UntrustedError(error.message) from error
    if not isinstance(graph, dict):
        raise UntrustedError("graph of tasks: expected an object")
    found = graph.get(task_id)
    if isinstance(found, dict) and isinstance(found.get("task"), dict):
        return difference(found["task"], task, creator)
    # Copies of a task get ids of their own: then one of the generated definitions must be this one.
    candidates = (
        each["task"]
        for each in graph.values()
        if isinstance(each, dict) and isinstance(each.get("task"), dict)
    )
    if any(difference(each, task, creator) is None for each in candidates):
        return None
    return f"it has no task {task_id}, nor one with the same definition"


def difference(generated: dict[str, Any], task: dict[str, Any], creator: str) -> str | None:
    """Return None if `task` is what was generated, else the first difference by path."""
    for key, value in generated.items():
        if key == "dependencies":
            if not _same_dependencies(value, task.get(key), {creator, str(task.get("taskGroupId"))}):
                return f"dependencies: generated {value}, the task has {task.get(key)}"
        elif key not in task:
            return f"{key}: generated, and the task lacks it"
        elif (path := _differs(value, task[key], key)) is not None:
            return f"{path}: not as generated"
    return _additions(generated, task)


def _same_dependencies(generated: Any, found: Any, creators: set[str]) -> bool:
    if not isinstance(generated, list) or not isinstance(found, list):
        return False
    more = {str(each) for each in found} - {str(each) for each in generated}
    return {str(each) for each in generated} <= {str(each) for each in found} and more <= creators


def _differs(generated: Any, found: Any, path: str) -> str | None:
    """Return the path of the first difference, None if there is none."""
    if isinstance(generated, dict) and set(generated) == {_RELATIVE}:
        return None if _is_instant(found) else path
    if isinstance(generated, dict) and isinstance(found, dict):
        if set(generated) != set(found):
            return f"{path}.{min(set(generated) ^ set(found))}"
        parts = ((generated[key], found[key], f"{path}.{key}") for key in generated)
    elif isinstance(generated, list) and isinstance(found, list):
        if len(generated) != len(found):
            return path
        parts = ((a, b, f"{path}[{i}]") for i, (a, b) in enumerate(zip(generated, found, strict=True)))
    else:
        return None if type(generated) is type(found) and generated == found else path
    return next((at for part in parts if (at := _differs(*part)) is not None), None)


def _is_instant(value: Any) -> bool:
    try:
        parse_instant(value if isinstance(value, str) else "")
    except InputInvalidError:
        return False
    return True


def _additions(generated: dict[str, Any], task: dict[str, Any]) -> str | None:
    """Return what the task has beyond what was generated, unless that is what its creation fills in."""
    queue = "/".join([str(generated.get("provisionerId")), str(generated.get("workerType"))])
    filled = {**_DEFAULTS, "taskQueueId": generated.get("taskQueueId", queue)}
    free = {"schedulerId", "taskGroupId", "created", "deadline", "expires", "provisionerId", "workerType"}
    for key in sorted(set(task) - set(generated) - free):
        if key not in filled or task[key] != filled[key]:
            return f"{key}: not generated, and the task has it"
    return None
