"""The hook that runs the actions of one content of `.taskcluster.yml`, at one level, with one permission.

Its template is the file's own first task, given what the file's author expects to find when an action runs. Everything
comes from the payload by name, but for the permission, which is fixed in the template: the payload cannot choose it.

Source: docs/reference/actions.md#hooks
"""

from __future__ import annotations

from typing import Any, Final

from liftlock.domain.actions.naming import ActionHookName

_SLUGID: Final = "^[A-Za-z0-9_-]{8}[Q-T][A-Za-z0-9_-][CGKOSWaeimquy26-][A-Za-z0-9_-]{10}[AQgw]$"
_REVISION: Final = "^[0-9a-f]{40}([0-9a-f]{24})?$"
_NAME: Final = "^[A-Za-z0-9_][A-Za-z0-9._/+@-]{0,199}$"
OWNER_EMAIL: Final = "liftlock@localhost"


def action_hook(
    name: ActionHookName, template: Any, digest: str, *, input_schema: dict[str, Any] | None
) -> dict[str, Any]:
    """Return the hook's definition in its wire form.

    Args:
        template: The first task of the file, not rendered.
        digest: sha256 of the file's raw bytes, whose first digits are in `name`.
        input_schema: Limits `user.input`; None lets any JSON value through to the task.
    """
    return {
        "metadata": {
            "name": f"Actions{' of pull requests' if name.pull else ''}: {name.permission}, level {name.level}, {name.short}",
            "description": (
                f"Runs in-tree actions of {'pull requests of ' if name.pull else ''}{name.trust_domain} that need `{name.permission}`. Made by liftlock of the "
                f"`.taskcluster.yml` with sha256 {digest}; do not edit."
            ),
            "owner": OWNER_EMAIL,
            "emailOnError": False,
        },
        "task": _task(name, template),
        "triggerSchema": trigger_schema(input_schema),
        "schedule": [],
        "bindings": [],
    }


def _task(name: ActionHookName, template: Any) -> dict[str, Any]:
    permission, kind = name.permission, "pr-action" if name.pull else "action"
    action = {
        key: {"$eval": f"payload.decision.action.{key}"}
        for key in ("name", "title", "description", "taskGroupId", "symbol", "cb_name")
    }
    return {
        "$let": {
            "tasks_for": kind,
            "action": {
                **action,
                "action_perm": permission,
                "repo_scope": f"assume:repo:${{payload.decision.repository.url[8:]}}:{kind}:{permission}",
            },
            "push": {"$eval": "payload.decision.push"},
            "repository": {"$eval": "payload.decision.repository"},
            "input": {"$eval": "payload.user.input"},
            "parameters": {
                "$if": "'parameters' in payload.decision",
                "then": {"$eval": "payload.decision.parameters"},
                "else": {},
            },
            "taskId": {"$eval": "payload.user.taskId"},
            "taskGroupId": {"$eval": "payload.user.taskGroupId"},
            "ownTaskId": {"$eval": "taskId"},
        },
        "in": template,
    }


def trigger_schema(input_schema: dict[str, Any] | None) -> dict[str, Any]:
    """Return the schema of the payload: what taskgraph's actions send, and nothing beside it."""
    return _object(
        {
            "decision": _object(
                {
                    "action": _ACTION,
                    "repository": _REPOSITORY,
                    "push": _PUSH,
                    "parameters": {"type": "object"},
                },
                optional=("parameters",),
            ),
            "user": _object(
                {
                    "input": {} if input_schema is None else input_schema,
                    "taskId": {"anyOf": [{"type": "null"}, _text(_SLUGID)]},
                    "taskGroupId": _text(_SLUGID),
                }
            ),
        }
    )


def _object(properties: dict[str, Any], *, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def _text(pattern: str) -> dict[str, Any]:
    return {"type": "string", "pattern": pattern}


_ACTION = _object(
    {
        "name": {"type": "string", "maxLength": 255},
        "title": {"type": "string", "maxLength": 255},
        "description": {"type": "string", "maxLength": 32768},
        "taskGroupId": _text(_SLUGID),
        "cb_name": _text("^[A-Za-z0-9_.-]{1,255}$"),
        "symbol": {"type": "string", "maxLength": 255},
    }
)
_REPOSITORY = _object(
    {
        "url": _text("^https://[a-z0-9.-]+(/[A-Za-z0-9._-]+)+$"),
        "project": _text("^[A-Za-z0-9_-]{1,50}$"),
        "level": {"enum": ["1", "2", "3", 1, 2, 3]},
        "base_url": _text("^https://[a-z0-9.-]+(/[A-Za-z0-9._-]+)+$"),
    },
    optional=("base_url",),
)
_PUSH = _object(
    {
        "owner": _text("^[A-Za-z0-9._%+@-]{1,255}$"),
        "pushlog_id": {"anyOf": [_text("^(-1|[0-9]{1,18})$"), {"type": "integer", "minimum": -1}]},
        "revision": _text(_REVISION),
        "base_revision": _text(_REVISION),
        "branch": _text(_NAME),
        "base_branch": _text(_NAME),
    },
    optional=("branch", "base_branch"),
)
