"""Pull requests: whether one starts a decision task, with which role, and what its template is rendered with.

The policy is that of the trusted branch, never that of the pull request.

Source: docs/reference/github.md#pull-requests
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from liftlock.domain.pushes.project import Project
from liftlock.domain.pushes.push import safe_person
from liftlock.values.instants import format_instant

Policy = Literal["public", "public_restricted", "collaborators", "collaborators_quiet"]
POLICIES: Final = frozenset({"public", "public_restricted", "collaborators", "collaborators_quiet"})
DEFAULT: Final = "collaborators"
TRUSTED: Final = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})
"""What the forge says of an author who may write to the repository, or belongs to its organisation."""
LEVEL: Final = "1"
"""Whoever asks to pull: nobody has reviewed it yet."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._/+@-]", re.ASCII)


class Admitted(NamedTuple):
    """The pull request starts a task with the role `<repository>:<suffix>`."""

    suffix: Literal["pull-request", "pull-request-untrusted"]

    @property
    def tasks_for(self) -> str:
        """Return what templates know the event by."""
        return f"github-{self.suffix}"

    def role(self, project: Project) -> str:
        """Return the role whose scopes, and no others, the decision task may have."""
        return f"{project.role_prefix}:{self.suffix}"


class NotAdmitted(NamedTuple):
    """It starts nothing. `said` tells whether the pull request is told so."""

    reason: str
    said: bool


def policy_of(document: Mapping[str, Any] | None) -> str:
    """Return the policy that the trusted branch's file states; without a file or a policy, `DEFAULT`."""
    stated = None if document is None else document.get("policy")
    found = stated.get("pullRequests", DEFAULT) if isinstance(stated, Mapping) else DEFAULT
    return found if isinstance(found, str) else ""


def admit(policy: str, association: str) -> Admitted | NotAdmitted:
    """Return whether an author of that `association` starts a task under `policy`."""
    if policy not in POLICIES:
        return NotAdmitted(
            f"policy.pullRequests on the trusted branch: expected one of {', '.join(sorted(POLICIES))}",
            said=False,
        )
    if association in TRUSTED or policy == "public":
        return Admitted("pull-request")
    if policy == "public_restricted":
        return Admitted("pull-request-untrusted")
    return NotAdmitted("only collaborators' pull requests start tasks here", said=policy == "collaborators")


class PullRequest(NamedTuple):
    """What a template may know of a pull request; texts are somebody else's, and made safe before it sees them."""

    number: int
    revision: str
    login: str
    title: str
    head_ref: str
    base_ref: str
    base_revision: str
    action: str


def pull_context(
    project: Project, pull: PullRequest, admitted: Admitted, task_id: str, *, now: datetime
) -> dict[str, Any]:
    """Return the context: tasks_for, repository, event, ownTaskId, taskGroupId, now (ISO text).

    Addresses are the project's own, since the objects are served from there. The level is always `LEVEL`.
    """
    login = safe_person(pull.login)
    repository = {
        "name": project.identity.rpartition("/")[2],
        "full_name": project.identity.removeprefix("https://").partition("/")[2],
        "html_url": project.identity,
        "url": project.identity,
        "clone_url": f"{project.identity}.git",
    }
    return {
        "tasks_for": admitted.tasks_for,
        "repository": {
            "url": project.identity,
            "base_url": project.identity,
            "project": project.name,
            "level": LEVEL,
            "type": project.vcs,
        },
        "event": {
            "action": pull.action,
            "number": pull.number,
            "pull_request": {
                "number": pull.number,
                "title": pull.title,
                "html_url": f"{project.identity}/pull/{pull.number}",
                "user": {"login": login},
                "head": {
                    "sha": pull.revision,
                    "ref": _UNSAFE.sub("_", pull.head_ref),
                    "repo": repository,
                    "user": {"login": login},
                },
                "base": {
                    "sha": pull.base_revision,
                    "ref": _UNSAFE.sub("_", pull.base_ref),
                    "repo": repository,
                },
            },
            "repository": repository,
            "sender": {"login": login},
        },
        "ownTaskId": task_id,
        "taskGroupId": task_id,
        "now": format_instant(now),
    }
