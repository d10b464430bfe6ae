"""What operators may ask gated, each a line of JSON with `do`.

Source: docs/reference/gate.md#operators
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

MAX_LINE: Final = 16_777_216
MAX_OVERRIDE_S: Final = 30 * 86_400


class _Commit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A commit to be looked at. `message` is text with one character a byte (latin-1), whatever its encoding is."""

    revision: str
    message: str
    merge: bool = False
    branch: str = ""


class Status(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="status", forbid_unknown_fields=True
):
    """Ages, cursors, firings, overrides, quotas."""


class Figures(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="metrics", forbid_unknown_fields=True
):
    """The metrics as text."""


class Audit(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="audit", forbid_unknown_fields=True
):
    """The newest entries of the audit trail, of one kind or of all."""

    limit: int = 50
    kind: str | None = None


class Explain(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="explain", forbid_unknown_fields=True
):
    """What is known of a bug, or what would become of a commit with this message."""

    repository: str
    bug: int | None = None
    message: str | None = None
    ref: str = "refs/heads/main"


class Replay(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="replay", forbid_unknown_fields=True
):
    """What the rules say of commits that are there already. `policy`: by this TOML text, not by the one in force."""

    repository: str
    ref: str
    commits: tuple[_Commit, ...]
    policy: str | None = None


class Heads(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="heads", forbid_unknown_fields=True
):
    """Up to where a repository was audited."""

    repository: str


class Audited(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="audited", forbid_unknown_fields=True
):
    """A repository was audited up to these heads; `slipped`: findings to be written down with that."""

    repository: str
    heads: dict[str, str]
    slipped: tuple[dict[str, str | int], ...] = ()


class Resynchronise(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="resync", forbid_unknown_fields=True
):
    """Ask feedd for a snapshot. `accept_drop`: take it though it drops more than half of the list."""

    source: str | None = None
    accept_drop: bool = False


class Overriding(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="override", forbid_unknown_fields=True
):
    """Let one bug pass for a while, or end that: with `repository` what holds there alone, else everything."""

    bug: int
    reason: str
    seconds: int = 14_400
    repository: str | None = None
    source: str | None = None
    revoke: bool = False
    sudo: str | None = None
    """Who became root to ask this, as the command says; it counts only from root."""


class Canary(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="canary", forbid_unknown_fields=True
):
    """Reject the next pushes that hold this token, whatever the policy says: the installer's self-test."""

    token: str


class Settings(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="settings", forbid_unknown_fields=True
):
    """What the installer needs of the policy: what a hook of this repository does when gated does not answer."""

    repository: str


class Installed(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="installed", forbid_unknown_fields=True
):
    """A hook was put into a repository, with this choice for when gated does not answer."""

    repository: str
    fail: Literal["open", "closed"]


Request: TypeAlias = (
    Status
    | Figures
    | Audit
    | Explain
    | Replay
    | Heads
    | Audited
    | Resynchronise
    | Overriding
    | Canary
    | Settings
    | Installed
)
Commit = _Commit
