"""The state of a bug as a tracker tells it, whatever tracker it is: what selectors are evaluated on.

It stays on the tracker's side; a `feed.Record` is all that crosses.

Source: docs/reference/gate.md#state
"""

from __future__ import annotations

from typing import Literal

import msgspec

FlagStatus = Literal["+", "-", "?"]
PatchKind = Literal["patch", "request", "other"]
"""patch: a diff; request: a link to a review request, which stands for its diff; other: no code."""


class Patch(msgspec.Struct, frozen=True, kw_only=True):
    """An attachment. `live`: not obsolete and not deleted.

    `flags`: name to status; where a tracker has one name several times, `-` goes before `?`, and `?` before `+`.
    """

    id: int
    live: bool
    kind: PatchKind
    flags: dict[str, FlagStatus] = {}

    @property
    def is_code(self) -> bool:
        """Whether it counts: it is live and brings code."""
        return self.live and self.kind != "other"


class BugState(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of a bug that selectors may look at.

    `groups`: who alone may see it; none: everybody may. `status_flags`: tracking fields, such as status and tracking of
    releases, name to value. `readable`: False if the tracker says that it exists and shows no more of it.
    """

    keywords: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    status: str = ""
    resolution: str = ""
    status_flags: dict[str, str] = {}
    patches: tuple[Patch, ...] = ()
    readable: bool = True
