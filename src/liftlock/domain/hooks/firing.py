"""What one fire renders: the template's context, the task with its defaults, and which id the task gets.

Source: docs/reference/hooks.md#firing
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import msgspec

from liftlock.domain.hooks.definition import CompiledHook
from liftlock.errors import TemplateRefusedError
from liftlock.values.ids import is_task_id
from liftlock.values.instants import format_instant

FiredBy = Literal["schedule", "triggerHook", "triggerHookWithToken", "pulseMessage"]
DEFAULT_DEADLINE: Final = timedelta(days=1)
DEFAULT_EXPIRES: Final = timedelta(days=30)


class Trigger(msgspec.Struct, frozen=True):
    """What makes a hook fire.

    `payload` is UNSET where there is none (a schedule). `client_id` is the caller who triggered it, None otherwise.
    `created` is the task's time: the present, or the scheduled one.
    """

    fired_by: FiredBy
    created: datetime
    payload: Any = msgspec.UNSET
    client_id: str | None = None


def wished_task_id(payload: Any) -> str | None:
    """Return the id that the payload wishes for the task, if it has `taskId` and that is a slugid.

    It becomes the new task's id only if no task has it; a payload may also name the task that it is about.
    """
    wished = payload.get("taskId") if isinstance(payload, Mapping) else None
    return wished if isinstance(wished, str) and is_task_id(wished) else None


def context_of(trigger: Trigger, task_id: str) -> dict[str, Any]:
    """Return the variables of the hook's template."""
    context: dict[str, Any] = {
        "firedBy": trigger.fired_by,
        "taskId": task_id,
        "now": format_instant(trigger.created),
    }
    if trigger.payload is not msgspec.UNSET:
        context["payload"] = trigger.payload
    if trigger.client_id is not None and trigger.fired_by == "triggerHook":
        context["clientId"] = trigger.client_id
    return context


def render_task(hook: CompiledHook, trigger: Trigger, task_id: str) -> dict[str, Any] | None:
    """Return the definition of the task that `trigger` asks for, defaults filled in; None if it renders to nothing.

    Raises:
        TemplateRefusedError: the template failed, ran out of fuel, or rendered to something that is no object.
    """
    rendered = hook.template.render(context_of(trigger, task_id), now=trigger.created)
    if not rendered:
        return None
    if not isinstance(rendered, dict):
        raise TemplateRefusedError(
            f"task: the template renders to a {type(rendered).__name__}, expected an object or nothing"
        )
    return {
        "created": format_instant(trigger.created),
        "deadline": format_instant(trigger.created + DEFAULT_DEADLINE),
        "expires": format_instant(trigger.created + DEFAULT_EXPIRES),
        "taskGroupId": task_id,
        **rendered,
    }
