"""The repository that a privileged operation changes: read by object name, changed by compare and swap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from liftlock.errors import LiftlockError
from liftlock.values.secret import Secret


class TargetFailedError(LiftlockError):
    """The repository refused, or could not be reached; `moved`: the reference was not where it was expected."""

    code = "TargetFailed"


class Target(msgspec.Struct, frozen=True):
    """Where: an address as a project's, and who pushes there. `user` and `token` for https; None: no credentials."""

    address: str
    user: str = "liftlock"
    token: Secret | None = None


class NewCommit(msgspec.Struct, frozen=True, kw_only=True):
    """One commit on top of `base`: `files` replace or add regular files; the mode of what is there stays.

    `when` and `author` are fixed by the request, so that the same request makes the same commit.
    """

    base: str
    files: Mapping[str, bytes]
    message: str
    author: str
    when: datetime


class NewTag(msgspec.Struct, frozen=True, kw_only=True):
    """One annotated tag of `revision`; fixed by the request like a commit."""

    name: str
    revision: str
    message: str
    author: str
    when: datetime


class TargetRepository(Protocol):
    """Everything raises TargetFailedError, which never holds a secret."""

    async def modes(self, target: Target, revision: str) -> dict[str, str]:
        """Return path → git mode of everything at the revision, which is fetched."""
        ...

    async def contents(self, target: Target, revision: str, paths: Sequence[str]) -> dict[str, bytes]:
        """Return path → content for the paths that are regular files at the revision."""
        ...

    async def head(self, target: Target, reference: str) -> str | None:
        """Return what the full reference points at now, or None if it does not exist."""
        ...

    async def commit(self, target: Target, commit: NewCommit) -> str:
        """Return the id of the commit, made by plumbing; nothing was pushed."""
        ...

    async def patch(self, target: Target, commit: NewCommit) -> bytes:
        """Return the commit as mail that `git am` applies to its base; nothing was pushed."""
        ...

    async def tag(self, target: Target, tag: NewTag) -> str:
        """Return the id of the tag object, made by plumbing; nothing was pushed."""
        ...

    async def is_ancestor(self, target: Target, old: str, new: str) -> bool:
        """Tell whether `old` is `new` or in its history; both are fetched."""
        ...

    async def move(self, target: Target, reference: str, *, old: str | None, new: str) -> None:
        """Let the full reference point at `new` if it points at `old` (None: if it does not exist)."""
        ...
