"""Stage 1 as an ordinary hook and task: made of the operation's configuration, the same by everybody who has it.

The requester's input reaches the task as a file, /inputs/operation.json. Nothing of it is a part of a command, because
there is no template in a command.

Source: docs/reference/operations.md#stage-1
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from liftlock.domain.hooks.definition import CompiledHook, HookDefinition, compile_hook, define_hook
from liftlock.domain.hooks.firing import Trigger, render_task
from liftlock.domain.operations.contract import PREFIX
from liftlock.domain.operations.definition import Operation
from liftlock.domain.tasks.definition import define

HOOK_GROUP: Final = "liftlock-operations"
FILE_INSIDE: Final = "/inputs/operation.json"
_OWNER: Final = "operations@liftlock.invalid"
_SLUGID: Final = {"type": "string", "pattern": "^[A-Za-z0-9_-]{22}$"}
_DEADLINE: Final = "1 day"


class Asked(msgspec.Struct, frozen=True, rename="camel"):
    """What stage 1 is told, and all that it is told: the payload of its hook, and the file that the task reads."""

    operation_id: str
    operation: str
    project: str
    identity: str
    ref: str
    revision: str
    input: Any

    @property
    def payload(self) -> dict[str, Any]:
        """The hook's payload as JSON."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


def hook_of(operation: Operation) -> HookDefinition:
    """Return the operation's hook, `liftlock-operations/<name>`; errors as `define_hook`, of the input schema."""
    body = {
        "metadata": {
            "name": f"Operation {operation.name}",
            "description": operation.description,
            "owner": _OWNER,
            "emailOnError": False,
        },
        "task": _task(operation),
        "triggerSchema": _schema(operation),
    }
    return define_hook(HOOK_GROUP, operation.name, body)


def stage_one_task(hook: CompiledHook, asked: Asked, task_id: str, client_id: str, created: datetime) -> Any:
    """Return the definition, in wire form, of the one task that is stage 1 of what was `asked`; errors as `define`."""
    rendered = render_task(hook, Trigger("triggerHook", created, asked.payload, client_id), task_id)
    return define(task_id, rendered or {}, created).document


def compiled(operation: Operation) -> CompiledHook:
    """Return the operation's hook, ready to fire; errors as `hook_of`."""
    return compile_hook(hook_of(operation))


def _schema(operation: Operation) -> dict[str, Any]:
    properties = {
        "operationId": _SLUGID,
        "operation": {"const": operation.name},
        "project": {"const": operation.project},
        "identity": {"type": "string", "maxLength": 2048},
        "ref": {"type": "string", "maxLength": 300},
        "revision": {"type": "string", "pattern": "^([0-9a-f]{40}|[0-9a-f]{64})$"},
        "input": operation.input_schema,
    }
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(properties),
        "additionalProperties": False,
    }


def _task(operation: Operation) -> dict[str, Any]:
    stage = operation.stage1
    return {
        "taskQueueId": stage.queue,
        "schedulerId": stage.scheduler_id,
        "projectId": "none",
        "priority": "low",
        "retries": 2,
        "deadline": {"$fromNow": _DEADLINE},
        "expires": {"$fromNow": "365 days"},
        "scopes": [f"pushes:get-source:{operation.project}"],
        "metadata": {
            "name": f"{operation.name}, stage 1",
            "description": operation.description,
            "owner": _OWNER,
            "source": "https://liftlock.invalid/operations",
        },
        "extra": {"operation": {"id": {"$eval": "payload.operationId"}, "stage": 1}},
        "payload": _payload(operation),
    }


def _payload(operation: Operation) -> dict[str, Any]:
    stage = operation.stage1
    more = dict(stage.more)
    source = {
        "name": "source",
        "git": {"project": operation.project, "revision": {"$eval": "payload.revision"}},
        "unpack": {"to": stage.source},
    }
    asked = {
        "name": "operation",
        "raw": {"content": {"$json": {"$eval": "payload"}}},
        "mount": FILE_INSIDE,
    }
    return {
        **more,
        "command": stage.command,
        "maxRunTime": stage.max_run_time,
        "inputs": [source, asked, *(_with_instant(each) for each in more.get("inputs", []))],
        "artifacts": [{"name": PREFIX.rstrip("/"), "type": "directory", "path": "artifacts"}],
    }


def _with_instant(given: Any) -> Any:
    """Return the input; a snapshot of an index without an instant is as of the request."""
    snapshot = given.get("index-snapshot") if isinstance(given, dict) else None
    if not isinstance(snapshot, dict) or "before" in snapshot:
        return given
    return {**given, "index-snapshot": {**snapshot, "before": {"$fromNow": "0 seconds"}}}
