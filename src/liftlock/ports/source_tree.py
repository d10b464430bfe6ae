"""The files of a recorded revision, read from a mirror, for people who compare with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from liftlock.domain.pushes.project import Project


class SourceTree(Protocol):
    """Reads revisions that are in the mirror already; RepositoryError otherwise. Nothing is checked out, no filter runs."""

    async def paths(self, project: Project, revision: str) -> list[str]:
        """Return the paths of all regular files at the revision, sorted; those that are not UTF-8 are left out."""
        ...

    async def contents(
        self, project: Project, revision: str, paths: Sequence[str], *, max_bytes: int
    ) -> dict[str, bytes | None]:
        """Return path → content of those `paths` that are regular files; None: larger than 512 KiB, or no room is left.

        Args:
            max_bytes: Of all contents together.
        """
        ...
