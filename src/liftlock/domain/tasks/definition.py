"""A task's definition: parsed, checked, completed with defaults, and immutable from then on.

Source: docs/reference/queue.md#task-definition
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec

from liftlock.errors import InputInvalidError, InputValidationError
from liftlock.values.ids import is_task_id
from liftlock.values.instants import format_instant, parse_instant
from liftlock.values.json import canonical

Priority = Literal["highest", "very-high", "high", "medium", "low", "very-low", "lowest"]
PRIORITIES: tuple[Priority, ...] = ("highest", "very-high", "high", "medium", "low", "very-low", "lowest")
"""From the first to be claimed to the last; the index is the rank that the store orders by, ascending."""

MAX_DEPENDENCIES = 10_000
MAX_ROUTES = 64
MAX_ROUTE = 249
"""Characters of one route."""
MAX_RETRIES = 49
CREATED_TOLERANCE = timedelta(minutes=15)
MAX_DEADLINE = timedelta(days=5)
DEFAULT_EXPIRY = timedelta(days=365)

_Identifier = Annotated[str, msgspec.Meta(pattern=r"^[a-zA-Z0-9_-]{1,38}$")]
_QueueId = Annotated[str, msgspec.Meta(pattern=r"^[a-zA-Z0-9_-]{1,38}/[a-zA-Z0-9_-]{1,38}$")]
_Project = Annotated[str, msgspec.Meta(pattern=r"^[a-zA-Z0-9._/-]{1,500}$")]
_Scope = Annotated[str, msgspec.Meta(pattern=r"^[\x20-\x7e]*$")]
_Route = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ROUTE)]
_SOURCE = re.compile(r"(https?://|ssh://|git@)\S+\Z", re.ASCII)


class Metadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who made the task and why, for people."""

    name: Annotated[str, msgspec.Meta(max_length=255)]
    description: Annotated[str, msgspec.Meta(max_length=32768)]
    owner: Annotated[str, msgspec.Meta(max_length=255)]
    source: Annotated[str, msgspec.Meta(max_length=4096)]


class _Given(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The wire form of what createTask takes; what is absent gets its default in `define`."""

    created: str
    deadline: str
    payload: dict[str, Any]
    metadata: Metadata
    task_queue_id: _QueueId | None = None
    provisioner_id: _Identifier | None = None
    worker_type: _Identifier | None = None
    scheduler_id: _Identifier = "-"
    project_id: _Project = "none"
    task_group_id: str | None = None
    dependencies: Annotated[list[str], msgspec.Meta(max_length=MAX_DEPENDENCIES)] = []
    requires: Literal["all-completed", "all-resolved"] = "all-completed"
    routes: Annotated[list[_Route], msgspec.Meta(max_length=MAX_ROUTES)] = []
    priority: Priority | Literal["normal"] = "lowest"
    retries: Annotated[int, msgspec.Meta(ge=0, le=MAX_RETRIES)] = 5
    expires: str | None = None
    scopes: list[_Scope] = []
    tags: dict[str, Annotated[str, msgspec.Meta(max_length=4096)]] = {}
    extra: dict[str, Any] = {}


class Definition(msgspec.Struct, frozen=True):
    """A checked definition. `document` is the wire form with every default filled in."""

    task_id: str
    task_queue_id: str
    scheduler_id: str
    project_id: str
    task_group_id: str
    dependencies: tuple[str, ...]
    requires: str
    routes: tuple[str, ...]
    priority: Priority
    retries: int
    created: datetime
    deadline: datetime
    expires: datetime
    scopes: tuple[str, ...]
    tags: dict[str, str]
    document: dict[str, Any]

    def same_as(self, document: Mapping[str, Any]) -> bool:
        """Tell whether `document`, a stored wire form with defaults, defines the same task."""
        return canonical(self.document) == canonical(document)


def define(task_id: str, given: Mapping[str, Any], now: datetime) -> Definition:
    """Return the checked definition of `task_id`, defaults filled in.

    Args:
        given: The body of createTask, decoded; not yet trusted in any way.
        now: Aware UTC; `created` is at most `CREATED_TOLERANCE` from it.
    Raises:
        InputValidationError: a field is missing, unknown or of the wrong form; the message names its path.
        InputInvalidError: the fields contradict each other or the time.
    """
    parsed = _convert(given)
    queue = _queue_of(parsed)
    created, deadline, expires = _times(parsed, now)
    group = parsed.task_group_id or task_id
    _expect_ids([group], "taskGroupId")
    _expect_ids(parsed.dependencies, "dependencies")
    _expect_unique(parsed.dependencies, "dependencies")
    _expect_unique(parsed.routes, "routes")
    _expect_scopes(parsed.scopes)
    if _SOURCE.match(parsed.metadata.source) is None:
        raise InputInvalidError(
            f"metadata.source: expected a URL with http(s)://, ssh:// or git@, got {parsed.metadata.source[:128]!r}"
        )
    priority: Priority = "lowest" if parsed.priority == "normal" else parsed.priority
    return Definition(
        task_id=task_id,
        task_queue_id=queue,
        scheduler_id=parsed.scheduler_id,
        project_id=parsed.project_id,
        task_group_id=group,
        dependencies=tuple(parsed.dependencies),
        requires=parsed.requires,
        routes=tuple(parsed.routes),
        priority=priority,
        retries=parsed.retries,
        created=created,
        deadline=deadline,
        expires=expires,
        scopes=tuple(parsed.scopes),
        tags=dict(parsed.tags),
        document=_document(parsed, queue, group, priority, (created, deadline, expires)),
    )


def rank_of(priority: str) -> int:
    """Return 0 for `highest` to 6 for `lowest`: claims take the smallest first."""
    return PRIORITIES.index(priority)


def _convert(given: Mapping[str, Any]) -> _Given:
    try:
        return msgspec.convert(dict(given), _Given)
    except msgspec.ValidationError as error:
        raise InputValidationError(f"task definition: {error}") from error


def _queue_of(parsed: _Given) -> str:
    parts = (parsed.provisioner_id, parsed.worker_type)
    if parts == (None, None):
        if parsed.task_queue_id is None:
            raise InputInvalidError("taskQueueId: missing; give it, or provisionerId and workerType")
        return parsed.task_queue_id
    if None in parts:
        raise InputInvalidError("provisionerId and workerType: expected both or neither")
    named = f"{parts[0]}/{parts[1]}"
    if parsed.task_queue_id not in (None, named):
        raise InputInvalidError(
            f"taskQueueId: {parsed.task_queue_id!r} contradicts provisionerId and workerType, which name {named!r}"
        )
    return named


def _times(parsed: _Given, now: datetime) -> tuple[datetime, datetime, datetime]:
    created = parse_instant(parsed.created, what="created")
    deadline = parse_instant(parsed.deadline, what="deadline")
    if abs(created - now) > CREATED_TOLERANCE:
        raise InputInvalidError(
            f"created: {parsed.created} is more than 15 minutes from the server's time {format_instant(now)}"
        )
    if deadline <= created:
        raise InputInvalidError(f"deadline: {parsed.deadline} must be after created, {parsed.created}")
    if deadline <= now:
        raise InputInvalidError(
            f"deadline: {parsed.deadline} has passed; the server's time is {format_instant(now)}"
        )
    if deadline - now > MAX_DEADLINE:
        raise InputInvalidError(f"deadline: {parsed.deadline} is more than 5 days ahead")
    if parsed.expires is None:
        return created, deadline, deadline + DEFAULT_EXPIRY
    expires = parse_instant(parsed.expires, what="expires")
    if expires < deadline:
        raise InputInvalidError(
            f"expires: {parsed.expires} must not be before the deadline, {parsed.deadline}"
        )
    return created, deadline, expires


def _expect_ids(ids: list[str], what: str) -> None:
    for one in ids:
        if not is_task_id(one):
            raise InputInvalidError(
                f"{what}: expected slugids (22 characters of url-safe base64), got {one[:64]!r}"
            )


def _expect_unique(items: list[str], what: str) -> None:
    seen: set[str] = set()
    for item in items:
        if item in seen:
            raise InputInvalidError(f"{what}: expected each at most once, got {item!r} twice")
        seen.add(item)


def _expect_scopes(scopes: list[str]) -> None:
    for scope in scopes:
        if scope.endswith("**"):
            raise InputInvalidError(f"scopes: {scope!r} ends in **, which is never a valid scope; use one *")


def _document(
    parsed: _Given, queue: str, group: str, priority: str, times: tuple[datetime, datetime, datetime]
) -> dict[str, Any]:
    provisioner, worker_type = queue.split("/")
    created, deadline, expires = (format_instant(instant) for instant in times)
    return {
        "provisionerId": provisioner,
        "workerType": worker_type,
        "taskQueueId": queue,
        "schedulerId": parsed.scheduler_id,
        "projectId": parsed.project_id,
        "taskGroupId": group,
        "dependencies": list(parsed.dependencies),
        "requires": parsed.requires,
        "routes": list(parsed.routes),
        "priority": priority,
        "retries": parsed.retries,
        "created": created,
        "deadline": deadline,
        "expires": expires,
        "scopes": list(parsed.scopes),
        "payload": parsed.payload,
        "metadata": msgspec.structs.asdict(parsed.metadata),
        "tags": dict(parsed.tags),
        "extra": parsed.extra,
    }
