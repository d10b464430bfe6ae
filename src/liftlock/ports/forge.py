"""A forge: what liftlock asks of it and does there. Every operation may be repeated; nothing happens twice by that."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from liftlock.domain.forge.settings import ForgeRepository
from liftlock.errors import LiftlockError

Status = Literal["queued", "in_progress", "completed"]
Conclusion = Literal["success", "failure", "cancelled", "neutral"]


class ForgeUnavailableError(LiftlockError):
    """The forge could not be reached, or refused; `again` says whether trying later may help."""

    code = "ForgeUnavailable"

    def __init__(self, message: str, *, again: bool) -> None:
        super().__init__(message)
        self.again = again


class PullFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A pull request as it is now. `head_repository` is None where the fork was deleted."""

    number: int
    is_open: bool
    head_ref: str
    head_revision: str
    head_repository: int | None
    base_ref: str
    base_repository: int
    author: int


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """What liftlock says of a revision. `external_id` is liftlock's own id, by which it finds its check again."""

    external_id: str
    head_revision: str
    name: str
    status: Status
    conclusion: Conclusion | None
    title: str
    summary: str
    url: str


class Forge(Protocol):
    """Acts as the app of an installation. Every operation may raise ForgeUnavailableError."""

    async def pull(self, repository: ForgeRepository, number: int) -> PullFacts:
        """Return the pull request as it is now."""
        ...

    async def react(self, repository: ForgeRepository, comment: int) -> None:
        """Show on the comment that it was received."""
        ...

    async def comment(self, repository: ForgeRepository, number: int, text: str, mark: str) -> None:
        """Comment on the pull request, unless liftlock did so under the same `mark` before."""
        ...

    async def check(self, repository: ForgeRepository, check: Check, run: int | None) -> int:
        """Make the check as given, and return its number.

        Args:
            run: The number of the check that was made before; None: it is looked for among liftlock's own, by external
                id and revision, and made if there is none.
        """
        ...
