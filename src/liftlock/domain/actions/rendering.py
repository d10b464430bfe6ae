"""What running an action sends: the task to create, or the payload to fire a hook with.

Source: docs/reference/actions.md#rendering
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from liftlock.domain.actions.document import Action, ActionsFile
from liftlock.domain.templates.template import compile_template
from liftlock.errors import InputInvalidError


@dataclass(frozen=True, slots=True)
class Target:
    """What the action is run on: a group, or one task of it (`task` is that task's definition)."""

    task_group_id: str
    task_id: str | None = None
    task: dict[str, Any] | None = None


def default_input(schema: Any) -> Any:
    """Return the input that a form for `schema` starts with: the schema's default, or its properties' defaults."""
    if not isinstance(schema, dict):
        return None
    if "default" in schema:
        return schema["default"]
    properties = schema.get("properties")
    if schema.get("type") == "object" or isinstance(properties, dict):
        fields = properties.items() if isinstance(properties, dict) else ()
        return {
            name: field["default"] for name, field in fields if isinstance(field, dict) and "default" in field
        }
    return None


def render_payload(
    file: ActionsFile, action: Action, target: Target, given: Any, *, now: datetime
) -> dict[str, Any]:
    """Return the payload for the hook of `action`.

    Args:
        given: The user's input; ignored (null) if the action has no schema.
    Raises:
        TemplateRefusedError: the template is wrong or costs too much.
        InputInvalidError: it renders to something else than an object.
    """
    return _object(
        compile_template(action.hook_payload).render(_context(file, action, target, given), now=now), action
    )


def render_task(
    file: ActionsFile, action: Action, target: Target, given: Any, own_task_id: str, *, now: datetime
) -> dict[str, Any]:
    """Return the body of createTask for `action` of kind `task`; arguments and errors as in `render_payload`."""
    context = _context(file, action, target, given) | {"task": target.task, "ownTaskId": own_task_id}
    return _object(compile_template(action.task).render(context, now=now), action)


def _context(file: ActionsFile, action: Action, target: Target, given: Any) -> dict[str, Any]:
    """Return the variables; the file's own never replace what the specification gives."""
    return {
        **file.variables,
        "taskGroupId": target.task_group_id,
        "taskId": target.task_id,
        "input": None if action.schema is None else given,
    }


def _object(value: Any, action: Action) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputInvalidError(
            f"action {action.name!r}: its template renders to {type(value).__name__}, not an object"
        )
    return value
