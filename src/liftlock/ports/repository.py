"""A project's repository as liftlock sees it: its own mirror, fetched as its own user.

A mirror holds every revision that was ever recorded as a push; it is a cache of objects and decides nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from liftlock.domain.pushes.project import Project
from liftlock.domain.pushes.push import Commit


class Repository(Protocol):
    """Mirrors of registered repositories. Every operation may raise RepositoryError, which says what the tool said."""

    async def fetch(self, project: Project) -> dict[str, str]:
        """Return the revision of every branch at the fetch address, whose objects are in the mirror now."""
        ...

    async def commit(self, project: Project, revision: str) -> Commit:
        """Return what the object says of `revision`, which must be in the mirror."""
        ...

    async def file(self, project: Project, revision: str, path: str, *, max_bytes: int) -> bytes | None:
        """Return the content of `path` at `revision`, None if there is no such file.

        Raises:
            InputInvalidError: it is no regular file, or larger than `max_bytes`: trying again will not help.
        """
        ...

    async def is_ancestor(self, project: Project, old: str, new: str) -> bool:
        """Tell whether `old` is `new` or in its history; false also if `old` is not in the mirror."""
        ...

    async def keep(self, project: Project, push_id: int, revision: str) -> None:
        """Keep `revision` and its history for good, as push `push_id`; idempotent."""
        ...

    async def kept(self, project: Project, revision: str) -> bool:
        """Tell whether `revision` is in the history of a revision that was kept."""
        ...

    async def fetch_pull(self, project: Project, number: int) -> str:
        """Return the head of the pull request, whose objects are in the mirror now; they count as no push.

        Raises:
            RepositoryError: there is none, or the repository is of a kind without pull requests.
        """
        ...

    async def pulled(self, project: Project, revision: str) -> bool:
        """Tell whether `revision` was the head of a pull request when that was fetched."""
        ...

    def bundle(self, project: Project, heads: dict[str, str]) -> AsyncIterator[bytes]:
        """Yield a bundle of the whole history of `heads` (reference name → revision).

        Of git's it names the references; of Mercurial's (`HG20`, not compressed) it has the changesets alone.
        """
        ...

    async def forget(self, project: Project) -> None:
        """Remove the mirror, if there is one."""
        ...
