"""What an operator says about the forge: the app, its repositories, and which client of liftlock a person there is.

Source: docs/reference/github.md#settings
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from liftlock.errors import InputInvalidError

OPERATIONS: Final = frozenset({"format", "update-deps", "publish"})
"""Commands that ask for an operation."""
_HTTPS = re.compile(
    r"(https://[A-Za-z0-9.-]+(:\d{1,5})?|http://127\.0\.0\.1:\d{1,5})(/[A-Za-z0-9._/-]*)?\Z", re.ASCII
)
_FULL_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}\Z", re.ASCII)


class ForgeRepository(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True):
    """A repository of the forge: its number there, the installation that it belongs to, and its project here.

    `commands`: which operation a command of comments asks for. `vouches`: who the forge says pushed counts as
    authenticated. `pull_requests`: pull requests start decision tasks, by the policy on the trusted branch.
    """

    id: int
    full_name: str
    installation: int
    project: str
    commands: dict[str, str] = {}
    vouches: bool = False
    pull_requests: bool = False
    trusted_branch: str = "main"


class Person(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True):
    """A user of the forge, by number, is this client: requests by comments are that client's, and so nobody approves himself."""

    id: int
    client: str


class GitHubSettings(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True):
    """The app, and what it is for. The two files are read at the start, by who may read them."""

    app_id: int
    webhook_secret_file: str
    private_key_file: str
    api: str = "https://api.github.com"
    repository: tuple[ForgeRepository, ...] = ()
    person: tuple[Person, ...] = ()

    def repository_of(self, number: int) -> ForgeRepository | None:
        """Return the repository of that number, or None."""
        return next((each for each in self.repository if each.id == number), None)

    def client_of(self, number: int) -> str | None:
        """Return the client that the user of that number is, or None."""
        return next((each.client for each in self.person if each.id == number), None)


def parse_github(document: Mapping[str, Any]) -> GitHubSettings:
    """Return the settings that the table `github` states.

    Raises:
        InputInvalidError: a key is unknown or has the wrong form; the message names it.
    """
    try:
        found = msgspec.convert(dict(document), GitHubSettings)
    except msgspec.ValidationError as error:
        raise InputInvalidError(f"github: {error}") from error
    if _HTTPS.match(found.api) is None:
        raise InputInvalidError(f"github.api: expected https://HOST, got {found.api[:80]!r}")
    _unique("github.repository.id", [each.id for each in found.repository])
    _unique("github.person.id", [each.id for each in found.person])
    for each in found.repository:
        where = f"github.repository {each.id}"
        if _FULL_NAME.match(each.full_name) is None:
            raise InputInvalidError(f"{where}.full-name: expected OWNER/NAME, got {each.full_name[:80]!r}")
        unknown = sorted(set(each.commands) - OPERATIONS)
        if unknown:
            raise InputInvalidError(
                f"{where}.commands: expected some of {', '.join(sorted(OPERATIONS))}, got {unknown[0][:40]!r}"
            )
    return found


def _unique(what: str, numbers: list[int]) -> None:
    twice = next((number for number in numbers if numbers.count(number) > 1), None)
    if twice is not None:
        raise InputInvalidError(f"{what}: {twice} is given twice")
