"""What a webhook says, parsed: only what decisions need, people and places by their numbers."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from liftlock.errors import InputInvalidError
from liftlock.values.instants import parse_instant
from liftlock.values.json import decode_as

MAX_BODY_BYTES: Final = 10 << 20


class Account(msgspec.Struct, frozen=True):
    """A user, an organisation or a bot; `login` is for people to read and decides nothing."""

    id: int
    login: str = ""


class Repository(msgspec.Struct, frozen=True):
    """A repository; `full_name` is for addresses and decides nothing."""

    id: int
    full_name: str = ""


class Numbered(msgspec.Struct, frozen=True):
    """Something of which only the number counts."""

    id: int


class Ref(msgspec.Struct, frozen=True):
    """One end of a pull request; `repo` is None where a fork was deleted."""

    ref: str
    sha: str
    repo: Repository | None = None


class Pull(msgspec.Struct, frozen=True):
    """A pull request."""

    number: int
    head: Ref
    base: Ref
    user: Account
    author_association: str = "NONE"
    title: str = ""
    state: str = "open"
    updated_at: str | None = None


class Comment(msgspec.Struct, frozen=True):
    """A comment."""

    id: int
    user: Account
    body: str | None = None
    created_at: str | None = None


class Issue(msgspec.Struct, frozen=True):
    """What was commented on; `pull_request` is there if it is one."""

    number: int
    pull_request: dict[str, Any] | None = None


class CheckRun(msgspec.Struct, frozen=True):
    """A check as the forge reports it; anybody's app may have made it, under any name."""

    id: int
    head_sha: str
    app: Numbered
    external_id: str | None = None
    started_at: str | None = None
    completed_at: str | None = None


class Envelope(msgspec.Struct, frozen=True):
    """What all webhooks have that are for an installation."""

    sender: Account
    repository: Repository | None = None
    installation: Numbered | None = None
    action: str = ""


class PushSaid(Envelope, frozen=True):
    """Somebody pushed."""

    ref: str = ""
    after: str = ""


class PullSaid(Envelope, frozen=True):
    """Something happened to a pull request."""

    pull_request: Pull | None = None


class CommentSaid(Envelope, frozen=True):
    """Something happened to a comment."""

    issue: Issue | None = None
    comment: Comment | None = None


class CheckSaid(Envelope, frozen=True):
    """Something happened to a check."""

    check_run: CheckRun | None = None


Said = PushSaid | PullSaid | CommentSaid | CheckSaid | Envelope
_KINDS: Final[dict[str, type[Envelope]]] = {
    "push": PushSaid,
    "pull_request": PullSaid,
    "issue_comment": CommentSaid,
    "check_run": CheckSaid,
}


def dated(said: Envelope) -> datetime | None:
    """Return when what is told happened, as the signed body says; None if it does not say so, or can't have happened then."""
    match said:
        case CommentSaid() if said.comment is not None:
            text = said.comment.created_at
        case PullSaid() if said.pull_request is not None:
            text = said.pull_request.updated_at
        case CheckSaid() if said.check_run is not None:
            text = said.check_run.completed_at or said.check_run.started_at
        case _:
            text = None
    try:
        return None if text is None else parse_instant(text, what="date")
    except InputInvalidError:
        return None


def parse(event: str, body: bytes) -> Envelope:
    """Return what the webhook says; an event of a kind that nothing follows from is an `Envelope` alone.

    Raises:
        MalformedPayloadError: the body is no JSON, or not of the form of that event; the message says where.
    """
    return decode_as(body, _KINDS.get(event, Envelope), what=f"webhook {event[:40]!r}")
