"""Rows of pushes and of what hooks are made of, to and from records."""

from __future__ import annotations

from typing import Any

import msgspec

from liftlock.domain.pushes.project import Project
from liftlock.domain.pushes.push import Push
from liftlock.ports.push_store import Admission, Content
from liftlock.values.instants import from_ms, to_ms
from liftlock.values.json import decode, encode

PUSH_COLUMNS = "record, decision, decision_text, config_digest, alerts"
CONTENT_COLUMNS = "trust_domain, level, short, digest, project, push_id, at"
ADMISSION_COLUMNS = "trust_domain, level, permission, digest, state, decided_by, at, hook_digest"


def project_text(project: Project) -> str:
    """Return the column's form of `project`."""
    return encode(project).decode()


def project_of(text: str) -> Project:
    """Return the project that a column holds."""
    return msgspec.json.decode(text, type=Project)


def push_of(row: tuple[Any, ...]) -> Push:
    """Return the push of a row of `PUSH_COLUMNS`: what never changes is in the record, the rest in columns."""
    record, decision, text, digest, alerts = row
    return msgspec.structs.replace(
        msgspec.json.decode(record, type=Push),
        decision=decision,
        decision_text=text,
        config_digest=digest,
        alerts=tuple(decode(alerts.encode(), what="alerts")),
    )


def push_values(push: Push) -> tuple[Any, ...]:
    """Return the row of a new push, in the order of the table's columns."""
    return (
        push.project,
        push.id,
        push.branch,
        push.revision,
        push.task_id,
        push.trust_domain,
        push.level,
        to_ms(push.at),
        encode(push).decode(),
        push.decision,
        push.decision_text,
        push.config_digest,
        encode(push.alerts).decode(),
    )


def content_of(row: tuple[Any, ...]) -> Content:
    """Return the content of a row of `CONTENT_COLUMNS`."""
    trust_domain, level, short, digest, project, push_id, at = row
    return Content(
        trust_domain=trust_domain,
        level=level,
        short=short,
        digest=digest,
        project=project,
        push_id=push_id,
        at=from_ms(at),
    )


def content_values(content: Content) -> tuple[Any, ...]:
    """Return the row of `content`, in the order of `CONTENT_COLUMNS`."""
    return (
        content.trust_domain,
        content.level,
        content.short,
        content.digest,
        content.project,
        content.push_id,
        to_ms(content.at),
    )


def admission_of(row: tuple[Any, ...]) -> Admission:
    """Return the admission of a row of `ADMISSION_COLUMNS`."""
    trust_domain, level, permission, digest, state, by, at, hook_digest = row
    return Admission(
        trust_domain=trust_domain,
        level=level,
        permission=permission,
        digest=digest,
        state=state,
        by=by,
        at=from_ms(at),
        hook_digest=hook_digest,
    )


def admission_values(admission: Admission) -> tuple[Any, ...]:
    """Return the row of `admission`, in the order of `ADMISSION_COLUMNS`."""
    return (
        admission.trust_domain,
        admission.level,
        admission.permission,
        admission.digest,
        admission.state,
        admission.by,
        to_ms(admission.at),
        admission.hook_digest,
    )
