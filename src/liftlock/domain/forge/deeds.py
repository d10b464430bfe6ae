"""What follows from a webhook that is the forge's: decided from its numbers and the settings alone.

Source: docs/reference/github.md#webhooks
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

from liftlock.domain.forge.commands import NAMES, BadCommand, Command, commands_in
from liftlock.domain.forge.happenings import CheckSaid, CommentSaid, Envelope, PullSaid, PushSaid
from liftlock.domain.forge.settings import OPERATIONS, ForgeRepository, GitHubSettings

DeedKind = Literal["command", "pull", "react", "comment"]
PULL_ACTIONS: Final = frozenset({"opened", "reopened", "synchronize"})
_BRANCHES: Final = "refs/heads/"
_NO_REVISION: Final = "0" * 40
HELP: Final = (
    "I understand these, each as a line of its own:\n\n"
    + "\n".join(f"- `/liftlock {name}`" for name in sorted(NAMES))
    + "\n\nArguments are `name=value`."
)


class Deed(NamedTuple):
    """Something to do; `key` is unique within the webhook."""

    kind: DeedKind
    key: str
    body: dict[str, Any]


class Ring(NamedTuple):
    """A branch moved, it is said; `pusher` is for the record."""

    branch: str
    revision: str
    pusher: str


class Follows(NamedTuple):
    """The webhook is about `repository`, and these follow from it: perhaps nothing, and `why` says so then."""

    repository: ForgeRepository
    deeds: tuple[Deed, ...] = ()
    ring: Ring | None = None
    why: str = ""


class Refused(NamedTuple):
    """Nothing follows, and that it was sent is worth a record."""

    reason: str


class Ignored(NamedTuple):
    """Nothing follows, and nobody needs to know."""

    reason: str


def decide(said: Envelope, settings: GitHubSettings) -> Follows | Refused | Ignored:
    """Return what follows. A check is not decided here: it is compared with those that liftlock made."""
    if said.repository is None or said.installation is None:
        return Ignored("it is about no repository of an installation")
    repository = settings.repository_of(said.repository.id)
    if repository is None:
        return Refused(f"repository {said.repository.id} is not configured")
    if said.installation.id != repository.installation:
        return Refused(f"installation {said.installation.id} is not that of repository {repository.id}")
    return _by_kind(said, repository, settings)


def _by_kind(
    said: Envelope, repository: ForgeRepository, settings: GitHubSettings
) -> Follows | Refused | Ignored:
    match said:
        case PushSaid():
            return _push(said, repository)
        case PullSaid():
            return _pull(said, repository)
        case CommentSaid():
            return _comment(said, repository, settings)
        case CheckSaid():
            return Follows(repository)
        case _:
            return Ignored("nothing follows from events of this kind")


def _push(said: PushSaid, repository: ForgeRepository) -> Follows | Ignored:
    if not said.ref.startswith(_BRANCHES) or said.after == _NO_REVISION:
        return Ignored("no branch got a new head")
    branch = said.ref.removeprefix(_BRANCHES)
    return Follows(repository, ring=Ring(branch, said.after, said.sender.login or str(said.sender.id)))


def _pull(said: PullSaid, repository: ForgeRepository) -> Follows | Refused | Ignored:
    pull = said.pull_request
    if pull is None or said.action not in PULL_ACTIONS or not repository.pull_requests:
        return Ignored("nothing follows from this")
    if pull.base.repo is None or pull.base.repo.id != repository.id:
        return Refused(f"pull request {pull.number} is for another repository")
    body = {
        "number": pull.number,
        "revision": pull.head.sha,
        "author": pull.user.id,
        "login": pull.user.login,
        "association": pull.author_association,
        "title": pull.title[:300],
        "headRef": pull.head.ref,
        "baseRef": pull.base.ref,
        "baseRevision": pull.base.sha,
        "action": said.action,
    }
    return Follows(repository, (Deed("pull", "pull", body),))


def _comment(
    said: CommentSaid, repository: ForgeRepository, settings: GitHubSettings
) -> Follows | Refused | Ignored:
    if (
        said.action != "created"
        or said.issue is None
        or said.comment is None
        or said.issue.pull_request is None
    ):
        return Ignored("no new comment on a pull request")
    commands = commands_in(said.comment.body or "")
    if not commands:
        return Ignored("the comment has no command")
    if said.comment.user.id != said.sender.id:
        return Refused(f"sender {said.sender.id} is not who wrote the comment")
    client = settings.client_of(said.sender.id)
    if client is None:
        return Refused(f"sender {said.sender.id} is nobody whom the settings know")
    deeds = [Deed("react", "0-react", {"comment": said.comment.id})]
    for at, command in enumerate(commands):
        deeds.append(_deed(command, f"command-{at}", said.issue.number, said.sender.id, client, repository))
    return Follows(repository, tuple(deeds))


def _deed(
    command: Command | BadCommand,
    key: str,
    number: int,
    sender: int,
    client: str,
    repository: ForgeRepository,
) -> Deed:
    """Return what a command leads to: what is only an answer is answered at once."""
    answer: str | None = None
    if isinstance(command, BadCommand):
        answer = f"{command.reason}."
    elif command.name == "help":
        answer = HELP
    elif command.name == "ping":
        answer = "pong"
    elif command.name in OPERATIONS and command.name not in repository.commands:
        answer = f"`{command.name}` is not configured for this repository."
    if answer is not None or isinstance(command, BadCommand):
        return Deed("comment", key, {"number": number, "text": answer})
    asked = {"name": command.name, "arguments": command.arguments}
    return Deed("command", key, {**asked, "number": number, "sender": sender, "client": client})
