"""A push: one recorded movement of one branch, with the decision task that it brings about.

Source: docs/reference/pushes.md#push
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final, Literal

import msgspec

from liftlock.domain.pushes.movements import PushKind

Standing = Literal["authenticated", "claimed", "author"]
"""How `owner` is known: vouched for by the host that authenticated the pusher; said by a hook that ran as the pusher;
or unknown, and then the author that the commit names, who may be invented, too."""
DecisionState = Literal["pending", "started", "none", "failed"]
"""pending: not tried to the end yet; started: the task exists; none: nothing to do; failed: see the text."""

MAX_MESSAGE: Final = 16_384
"""Characters of a commit's message that are kept."""
MAX_PERSON: Final = 255
_UNSAFE = re.compile(r"[^A-Za-z0-9._%+@-]", re.ASCII)


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """What the objects say of a revision; none of it is authenticated."""

    revision: str
    author_name: str
    author_email: str
    committer_email: str
    message: str
    committed: datetime


class Push(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the push log. `id` counts from 1 within the project without gaps.

    `task_id` is the decision task's, chosen when the push is recorded, so that starting it twice makes one task.
    """

    project: str
    id: int
    identity: str
    level: int
    trust_domain: str
    """Identity, level and trust domain are the project's when the push was observed, and stay."""
    branch: str
    kind: PushKind
    base_revision: str
    """The branch's head before; zeros for a new branch."""
    revision: str
    """The head after; zeros for a deleted branch."""
    at: datetime
    """When liftlock observed it."""
    owner: str
    owner_standing: Standing
    author: str
    """`Name <e-mail>` of the commit, as it says."""
    message: str
    task_id: str
    decision: DecisionState = "pending"
    decision_text: str = ""
    config_digest: str | None = None
    """sha256 of the raw `.taskcluster.yml` at `revision`; None without one, or before it was read."""
    alerts: tuple[str, ...] = ()
    """What an operator should look at, such as hooks that wait for admission or were refused."""


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What a doorbell said of a movement: a hint, and the only source of who pushed."""

    branch: str
    revision: str
    pusher: str
    authenticated: bool = False


def safe_person(text: str) -> str:
    """Return `text` with all but letters, digits and `._%+@-` replaced by `_`, 255 characters at most, or `unknown`.

    Templates put the owner into command lines, so a quote in a commit's author must not survive.
    """
    return _UNSAFE.sub("_", text)[:MAX_PERSON] or "unknown"


def owner_of(commit: Commit, claim: Claim | None) -> tuple[str, Standing]:
    """Return who owns a push of `commit` and how that is known."""
    if claim is not None:
        return safe_person(claim.pusher), "authenticated" if claim.authenticated else "claimed"
    return safe_person(commit.author_email or commit.author_name), "author"
