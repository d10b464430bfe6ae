"""Projects and pushes in the form in which they are sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from liftlock.domain.pushes.project import Project, define_project
from liftlock.domain.pushes.push import Push
from liftlock.errors import RequestArgumentsError
from liftlock.ports.push_store import Admission, PushQuery
from liftlock.services.watch_pushes import LastLook
from liftlock.values.instants import format_instant
from liftlock.web.paging import limit_of, number_after

PUSH_QUERY = ("branch", "revision", "afterId", "beforeId", "order", "continuationToken", "limit")


def project_input(name: str, payload: Mapping[str, Any]) -> Project:
    """Return the project that a valid body describes; errors as `define_project`."""
    return define_project(
        name=name,
        identity=payload["identityUrl"],
        fetch_address=payload["fetchUrl"],
        level=payload["level"],
        branches=payload["branches"],
        trust_domain=payload["trustDomain"],
        vcs=payload.get("vcs", "git"),
    )


def project_wire(project: Project, last: LastLook | None = None) -> dict[str, Any]:
    """Return the project as JSON; with `last`, also when it was last looked at and what went wrong."""
    wire: dict[str, Any] = {
        "project": project.name,
        "identityUrl": project.identity,
        "fetchUrl": project.fetch_address,
        "vcs": project.vcs,
        "level": project.level,
        "branches": list(project.branches),
        "trustDomain": project.trust_domain,
    }
    if last is not None:
        wire["lastLook"] = {"at": None if last.at is None else format_instant(last.at), "error": last.error}
    return wire


def push_wire(push: Push) -> dict[str, Any]:
    """Return the push as JSON.

    The decision task's id is told once the task exists: who knew it before could put another task in its place.
    """
    return {
        "project": push.project,
        "id": push.id,
        "branch": push.branch,
        "kind": push.kind,
        "baseRevision": push.base_revision,
        "revision": push.revision,
        "at": format_instant(push.at),
        "owner": push.owner,
        "ownerStanding": push.owner_standing,
        "author": push.author,
        "message": push.message,
        "identityUrl": push.identity,
        "level": push.level,
        "trustDomain": push.trust_domain,
        "taskId": push.task_id if push.decision == "started" else None,
        "decision": {"state": push.decision, "text": push.decision_text},
        "configDigest": push.config_digest,
        "alerts": list(push.alerts),
    }


def admission_wire(admission: Admission) -> dict[str, Any]:
    """Return the admission as JSON."""
    return {
        "trustDomain": admission.trust_domain,
        "level": admission.level,
        "permission": admission.permission,
        "digest": admission.digest,
        "state": admission.state,
        "by": admission.by,
        "at": format_instant(admission.at),
    }


def push_query(query: Mapping[str, str]) -> PushQuery:
    """Return what a listing asks for: newest first, unless `order` is `oldest`."""
    order = query.get("order", "newest")
    if order not in ("newest", "oldest"):
        raise RequestArgumentsError(f"order: expected newest or oldest, got {order[:32]!r}")
    after, before = _number(query, "afterId"), _number(query, "beforeId")
    reached = number_after(query) or None
    newest = order == "newest"
    if reached is not None and newest:
        before = reached if before is None else min(before, reached)
    elif reached is not None:
        after = reached if after is None else max(after, reached)
    return PushQuery(
        branch=query.get("branch"),
        revision=query.get("revision"),
        after_id=after,
        before_id=before,
        newest_first=newest,
        limit=limit_of(query),
    )


def push_number(text: str, what: str = "pushId") -> int:
    """Return the number that `text` is, or raise RequestArgumentsError."""
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise RequestArgumentsError(f"{what}: expected a number, got {text[:32]!r}")
    return int(text)


def _number(query: Mapping[str, str], name: str) -> int | None:
    return push_number(query[name], name) if name in query else None
