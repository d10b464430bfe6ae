"""A registered repository: who it is to the outside, where it is fetched from, what its level is.

Its **identity** names it in roles, in task definitions and to taskgraph, and nothing is ever fetched from there; its
**fetch address** is where its objects come from.

Source: docs/reference/pushes.md#projects
"""

from __future__ import annotations

import re
from typing import Final, Literal, cast, get_args

import msgspec

from liftlock.errors import InputInvalidError
from liftlock.values.ids import project_name

LEVELS: Final = (1, 2, 3)
MAX_BRANCHES: Final = 100
"""Patterns of branches in one project."""
MAX_ADDRESS: Final = 2048

_IDENTITY = re.compile(
    r"https://([a-z0-9]([a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9-]+)*)((?:/[A-Za-z0-9_][A-Za-z0-9._-]*)+)\Z", re.ASCII
)
_BRANCH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+@-]{0,199}\Z", re.ASCII)
_BRANCH_PATTERN = re.compile(r"(\*|[A-Za-z0-9_][A-Za-z0-9._/+@-]{0,199}\*?)\Z", re.ASCII)
_TRUST_DOMAIN = re.compile(r"[A-Za-z0-9_-]{1,50}\Z", re.ASCII)
_ADDRESSES = (
    re.compile(r"/[^\0\n]*\Z"),
    re.compile(r"file:///[^\0\n]*\Z"),
    re.compile(r"https://[A-Za-z0-9.-]+(:\d{1,5})?/[\x21-\x7e]*\Z", re.ASCII),
    re.compile(
        r"ssh://([A-Za-z0-9_][A-Za-z0-9._-]*@)?[A-Za-z0-9][A-Za-z0-9.-]*(:\d{1,5})?/[\x21-\x7e]*\Z", re.ASCII
    ),
)


Vcs = Literal["git", "hg"]
"""The kind of repository; of Mercurial's, the named branches count."""


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """A registered repository. Made by `define_project` only, so that every field has been checked."""

    name: str
    identity: str
    """`https://<host>/<path>`, no trailing `/` or `.git`; unique among projects, since roles are named after it."""
    fetch_address: str
    """An absolute path, or a file, https or ssh URL without a password."""
    vcs: Vcs = "git"
    level: int
    branches: tuple[str, ...]
    """Patterns of the branches whose pushes count: a name, or a prefix and a final `*`."""
    trust_domain: str

    @property
    def role_prefix(self) -> str:
        """The start of the repository's roles: `repo:<host>/<path>`."""
        return "repo:" + self.identity.removeprefix("https://")

    def branch_role(self, branch: str) -> str:
        """Return the role whose scopes, and no others, the decision task of a push to `branch` may have."""
        return f"{self.role_prefix}:branch:{branch}"

    def tracks(self, branch: str) -> bool:
        """Tell whether pushes to `branch` count; names that are unsafe in a role or a shell never do."""
        return is_branch_name(branch) and any(_matches(pattern, branch) for pattern in self.branches)


def is_branch_name(text: str) -> bool:
    """Tell whether `text` may be a branch's name: a letter, digit or `_`, then also `._/+@-`, 200 at most."""
    return _BRANCH.match(text) is not None and ".." not in text and not text.endswith("/")


def define_project(
    *,
    name: str,
    identity: str,
    fetch_address: str,
    level: int,
    branches: list[str],
    trust_domain: str,
    vcs: str = "git",
) -> Project:
    """Return the checked project; a trailing `/` or `.git` of the identity is removed.

    Raises:
        RequestArgumentsError: the name is none.
        InputInvalidError: another field is not of its form; the message names it.
    """
    if vcs not in get_args(Vcs):
        raise InputInvalidError(f"vcs: expected git or hg, got {vcs[:64]!r}")
    if level not in LEVELS:
        raise InputInvalidError(f"level: expected 1, 2 or 3, got {level!r}")
    if _TRUST_DOMAIN.match(trust_domain) is None:
        raise InputInvalidError(f"trustDomain: expected 1 to 50 of [A-Za-z0-9_-], got {trust_domain[:64]!r}")
    return Project(
        name=project_name(name),
        identity=_identity(identity),
        fetch_address=_fetch_address(fetch_address),
        vcs=cast(Vcs, vcs),
        level=level,
        branches=_branches(branches),
        trust_domain=trust_domain,
    )


def _identity(text: str) -> str:
    bare = text.rstrip("/").removesuffix(".git")
    if len(bare) > MAX_ADDRESS or _IDENTITY.match(bare) is None or ".." in bare:
        raise InputInvalidError(
            f"identityUrl: expected https://<host>/<path> of letters, digits and ._- (host in lower case), got {text[:128]!r}"
        )
    return bare


def _fetch_address(text: str) -> str:
    if len(text) > MAX_ADDRESS or not any(form.match(text) for form in _ADDRESSES):
        raise InputInvalidError(
            "fetchUrl: expected an absolute path, or a file://, https:// or ssh:// URL without a password, "
            f"got {text[:128]!r}"
        )
    return text


def _branches(patterns: list[str]) -> tuple[str, ...]:
    if not 1 <= len(patterns) <= MAX_BRANCHES:
        raise InputInvalidError(f"branches: expected 1 to {MAX_BRANCHES}, got {len(patterns)}")
    for pattern in patterns:
        if _BRANCH_PATTERN.match(pattern) is None:
            raise InputInvalidError(
                f"branches: expected a branch's name, or a prefix and *, got {pattern[:128]!r}"
            )
    return tuple(dict.fromkeys(patterns))


def _matches(pattern: str, branch: str) -> bool:
    return branch.startswith(pattern[:-1]) if pattern.endswith("*") else branch == pattern
