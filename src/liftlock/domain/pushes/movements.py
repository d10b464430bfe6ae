"""What moved: the difference between the heads that are recorded and those that were just fetched.

Nothing that a pusher's hook says enters here; a movement is what liftlock observes itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from liftlock.domain.pushes.project import Project

PushKind = Literal["created", "advanced", "forced", "deleted"]


@dataclass(frozen=True, slots=True)
class Movement:
    """One branch whose head differs: `old` is None for a new branch, `new` is None for a deleted one."""

    branch: str
    old: str | None
    new: str | None

    def kind(self, *, old_is_ancestor: bool) -> PushKind:
        """Return what happened to the branch, given whether the old head is an ancestor of the new one."""
        if self.old is None:
            return "created"
        if self.new is None:
            return "deleted"
        return "advanced" if old_is_ancestor else "forced"


def movements(
    project: Project, recorded: Mapping[str, str], fetched: Mapping[str, str]
) -> tuple[Movement, ...]:
    """Return every tracked branch whose head differs, sorted by name: `recorded` and `fetched` map branch to revision.

    A branch that is recorded and no longer tracked is left alone: narrowing a project deletes nothing.
    """
    found = []
    for branch in sorted({*recorded, *fetched}):
        old, new = recorded.get(branch), fetched.get(branch)
        if old != new and project.tracks(branch):
            found.append(Movement(branch, old, new))
    return tuple(found)


def zeros_like(revision: str) -> str:
    """Return the revision that stands for none, as long as `revision`."""
    return "0" * len(revision)
