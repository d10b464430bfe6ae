"""Identifiers: one type per noun, parsed at the edge and trusted inside."""

from __future__ import annotations

import re
from typing import NewType

from liftlock.errors import RequestArgumentsError

TaskId = NewType("TaskId", str)
"""A slugid: 22 characters of url-safe base64 that hold a version 4 UUID."""
TaskQueueId = NewType("TaskQueueId", str)
"""`<provisionerId>/<workerType>`, each 1 to 38 characters of `[A-Za-z0-9_-]`."""
ClientId = NewType("ClientId", str)
RoleId = NewType("RoleId", str)
HookGroupId = NewType("HookGroupId", str)
HookId = NewType("HookId", str)
ProjectName = NewType("ProjectName", str)
"""A registered repository's short name: 1 to 50 characters of `[a-zA-Z0-9_-]`."""

_SLUGID = re.compile(
    r"[A-Za-z0-9_-]{8}[Q-T][A-Za-z0-9_-][CGKOSWaeimquy26-][A-Za-z0-9_-]{10}[AQgw]\Z", re.ASCII
)
_QUEUE = re.compile(r"[A-Za-z0-9_-]{1,38}/[A-Za-z0-9_-]{1,38}\Z", re.ASCII)
_CLIENT = re.compile(r"[A-Za-z0-9!@/:.+|_-]+\Z", re.ASCII)
_ROLE = re.compile(r"[\x20-\x7e]+\Z", re.ASCII)
_HOOK_GROUP = re.compile(r"[A-Za-z0-9-_]{1,1000}\Z", re.ASCII)
_HOOK = re.compile(r"[A-Za-z0-9-_/]{1,1000}\Z", re.ASCII)
_PROJECT = re.compile(r"[a-zA-Z0-9_-]{1,50}\Z", re.ASCII)


def is_task_id(text: str) -> bool:
    """Tell whether `text` is a slugid."""
    return _SLUGID.match(text) is not None


def _parse(form: re.Pattern[str], text: str, what: str, expected: str) -> str:
    if form.match(text) is None:
        raise RequestArgumentsError(f"{what}: expected {expected}, got {text[:128]!r}")
    return text


def task_id(text: str, what: str = "taskId") -> TaskId:
    """Parse a task id, or raise RequestArgumentsError."""
    return TaskId(_parse(_SLUGID, text, what, "a slugid (22 characters of url-safe base64)"))


def task_queue_id(text: str) -> TaskQueueId:
    """Parse a task queue id, or raise RequestArgumentsError."""
    return TaskQueueId(_parse(_QUEUE, text, "taskQueueId", "<provisionerId>/<workerType> of [A-Za-z0-9_-]"))


def client_id(text: str) -> ClientId:
    """Parse a client id, or raise RequestArgumentsError."""
    return ClientId(_parse(_CLIENT, text, "clientId", "one or more of [A-Za-z0-9!@/:.+|_-]"))


def role_id(text: str) -> RoleId:
    """Parse a role id, or raise RequestArgumentsError."""
    return RoleId(_parse(_ROLE, text, "roleId", "printable ASCII"))


def hook_group_id(text: str) -> HookGroupId:
    """Parse a hook group id, or raise RequestArgumentsError."""
    return HookGroupId(_parse(_HOOK_GROUP, text, "hookGroupId", "1 to 1000 of [A-Za-z0-9-_]"))


def hook_id(text: str) -> HookId:
    """Parse a hook id, or raise RequestArgumentsError."""
    return HookId(_parse(_HOOK, text, "hookId", "1 to 1000 of [A-Za-z0-9-_/]"))


def project_name(text: str) -> ProjectName:
    """Parse a project's name, or raise RequestArgumentsError."""
    return ProjectName(_parse(_PROJECT, text, "project", "1 to 50 of [a-zA-Z0-9_-]"))
