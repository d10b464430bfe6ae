"""The names of the hooks that actions run by.

`project-<trust domain>/in-tree-action-<level>-<permission>/<hash>`, where hash is the first ten hexadecimal digits of
the sha256 of the raw `.taskcluster.yml`. For actions of pull requests, `in-tree-pr-action-1-<permission>/<hash>`: they
have level 1, whatever the project's. Ten digits can be collided with 2^20 attempts, so the name never decides
anything by itself: the full digest is stored beside it and compared.

Source: docs/reference/actions.md#hooks
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

SHORT_LENGTH: Final = 10
_GROUP = re.compile(r"project-([A-Za-z0-9_-]{1,50})\Z", re.ASCII)
_HOOK = re.compile(
    r"in-tree-(?:action-([123])|pr-action-(1))-([A-Za-z0-9_-]{1,100})/([0-9a-f]{10})\Z", re.ASCII
)
_PERMISSION = re.compile(r"[A-Za-z0-9_-]{1,100}\Z", re.ASCII)
PULL_LEVEL: Final = 1
"""Whoever asks to pull: nobody has reviewed it yet."""
PULL: Final = "pull-request/"
"""What a permission is called in consents where it is for actions of pull requests; no permission holds a `/`."""
_PREFIXES: Final = ("in-tree-action-", "in-tree-pr-action-")


@dataclass(frozen=True, slots=True)
class ActionHookName:
    """Which hook it is: its trust domain, level and permission, and the first digits of the content's digest.

    `pull`: it is for actions of pull requests; then the level is `PULL_LEVEL`.
    """

    trust_domain: str
    level: int
    permission: str
    short: str
    pull: bool = False

    @property
    def admitted_as(self) -> str:
        """The permission as it stands in consents."""
        return f"{PULL}{self.permission}" if self.pull else self.permission

    @property
    def group_id(self) -> str:
        """The hookGroupId."""
        return f"project-{self.trust_domain}"

    @property
    def hook_id(self) -> str:
        """The hookId."""
        return f"in-tree-{'pr-' if self.pull else ''}action-{self.level}-{self.permission}/{self.short}"

    @property
    def scope(self) -> str:
        """What a decision task's scopes must satisfy before this hook may be fired for its push."""
        return in_tree_scope(self.group_id, self.hook_id)


def is_managed(hook_group_id: str, hook_id: str) -> bool:
    """Tell whether a hook of this name is one for actions, so that firing it is bound to a recorded push.

    By name alone: a hook that somebody else put under such a name is bound all the same.
    """
    return hook_group_id.startswith("project-") and hook_id.startswith(_PREFIXES)


def parse_name(hook_group_id: str, hook_id: str) -> ActionHookName | None:
    """Return which action hook the ids name, or None if liftlock never makes one of that name."""
    group, hook = _GROUP.match(hook_group_id), _HOOK.match(hook_id)
    if group is None or hook is None:
        return None
    return ActionHookName(group[1], int(hook[1] or hook[2]), hook[3], hook[4], pull=hook[1] is None)


def is_permission(text: str) -> bool:
    """Tell whether `text` may be a permission; without `/`, so that a grant for `x/*` gives no other one."""
    return _PERMISSION.match(text) is not None


def short_of(digest: str) -> str:
    """Return the part of the hexadecimal sha256 `digest` that names hooks."""
    return digest[:SHORT_LENGTH]


def in_tree_scope(hook_group_id: str, hook_id: str) -> str:
    """Return the scope by which a decision task may offer the hook."""
    return f"in-tree:hook-action:{hook_group_id}/{hook_id}"
