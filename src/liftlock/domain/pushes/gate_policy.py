"""The gate's policy: a TOML file of the operator's, never of a repository's or a user's.

Source: docs/reference/gate.md#policy
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, TypeVar

import msgspec

from liftlock.domain.pushes.feed import MAX_BUG
from liftlock.errors import InputInvalidError

Rule = Literal["security-approval", "approval-token", "uplift", "closed-bug", "unknown-bug"]
Mode = Literal["off", "warn", "enforce"]
MAX_BYTES: Final = 1_048_576
T = TypeVar("T")


class Rules(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """What each rule does when it is broken."""

    security_approval: Mode = "enforce"
    approval_token: Mode = "enforce"  # noqa: S105 -- the name of a rule
    uplift: Mode = "off"
    closed_bug: Mode = "off"
    unknown_bug: Mode = "off"

    def mode(self, rule: Rule) -> Mode:
        """Return what `rule` does."""
        found: Mode = getattr(self, rule.replace("-", "_"))
        return found


class RepositoryPolicy(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """What holds for one repository.

    `fail`: what happens when the gate can't decide: open lets the push in with a note, closed rejects it.
    `max_stale_s`: a list older than that rejects nothing where `fail` is open. `merges`, `backouts`: whether commits of
    that kind are looked at; a backout may also pass with a warning. `scope`: whether a bug that only the body names
    counts like one in the subject, or warns. `uplift`: pattern of ref or branch to the flag that it needs; `uplift_of`:
    which bugs need it. `exempt_refs`: patterns of refs that are not looked at; `exempt_pushers`: names that a host's
    adapter vouches for.
    """

    rules: Rules = Rules()
    fail: Literal["open", "closed"] = "open"
    max_stale_s: int = 900
    merges: Literal["skip", "check"] = "skip"
    backouts: Literal["allow", "warn", "check"] = "warn"
    scope: Literal["subject", "message"] = "subject"
    uplift: dict[str, str] = {}
    uplift_of: Literal["sensitive", "all"] = "sensitive"
    exempt_refs: tuple[str, ...] = ()
    exempt_pushers: tuple[str, ...] = ()
    source: str = "tracker"
    """The feed that tells of this repository's bugs."""

    def uplift_flags(self, refs: Iterable[str]) -> tuple[str, ...]:
        """Return the flags that a bug needs to land on all of these refs (`refs/heads/beta`, or a Mercurial branch)."""
        found = {
            flag: None for ref in refs for pattern, flag in self.uplift.items() if _matches(ref, pattern)
        }
        return tuple(found)

    def exempts(self, refs: Iterable[str]) -> bool:
        """Whether nothing that lands there is looked at: each of the refs is exempt."""
        return bool(self.exempt_refs) and all(
            any(_matches(ref, pattern) for pattern in self.exempt_refs) for ref in refs
        )


def _matches(ref: str, pattern: str) -> bool:
    """Whether the full or the short name of a ref fits."""
    return fnmatchcase(ref, pattern) or fnmatchcase(ref.removeprefix("refs/heads/"), pattern)


class Feed(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """What is known of one tracker: `canary`, a bug that is sensitive for ever; how far numbers may run ahead."""

    canary: int | None = None
    ahead: int = 1_000
    """A bug this much above the greatest one that the tracker told of may exist already."""
    link: str = "https://bugzilla.example.org/show_bug.cgi?id={bug}"
    approval_flag: str = "sec-approval"


class Adapter(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """A host whose pushers share one user: `user` by name or number; `variable`: where it says who pushes."""

    user: str
    variable: Literal["GL_USER", "GL_USERNAME", "GITEA_PUSHER_NAME", "REMOTE_USER", "LIFTLOCK_PUSHER"]


class Limits(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """Bounds on what a pusher may ask of the gate."""

    sensitive_hits_per_day: int = 20
    """Different sensitive bugs that one pusher may learn of in 24 hours."""
    shown_bugs: int = 3
    deadline_ms: int = 1_800
    reread_ms: int = 1_500
    max_push_bytes: int = 1_073_741_824
    connections: int = 256
    connections_per_user: int = 32


class GatePolicy(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """The whole file."""

    version: Literal[1]
    limits: Limits = Limits()
    feed: dict[str, Feed] = {}
    adapter: tuple[Adapter, ...] = ()
    operators: tuple[str, ...] = ()
    """Users, by name or number, who may use the operators' socket; root always may."""
    feed_users: tuple[str, ...] = ()
    """Users who may bring records."""
    repositories: dict[str, RepositoryPolicy] = {}
    default: RepositoryPolicy = RepositoryPolicy()

    def of(self, repository: str) -> RepositoryPolicy:
        """Return what holds for a repository; one that the file does not name has the defaults."""
        return self.repositories.get(repository, self.default)

    @property
    def sources(self) -> frozenset[str]:
        """The trackers that it names."""
        return frozenset(
            {*self.feed, self.default.source, *(each.source for each in self.repositories.values())}
        )

    def feed_of(self, source: str) -> Feed:
        """Return what is known of a tracker."""
        return self.feed.get(source, Feed())


class _File(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    version: Literal[1]
    limits: dict[str, Any] = {}
    feed: dict[str, dict[str, Any]] = {}
    adapter: list[dict[str, Any]] = []
    operators: tuple[str, ...] = ()
    feed_users: tuple[str, ...] = ()
    defaults: dict[str, Any] = {}
    repository: dict[str, dict[str, Any]] = {}


def parse_policy(text: str, *, what: str = "policy") -> GatePolicy:
    """Return the policy that the TOML text holds. A repository's table changes single settings of `[defaults]`.

    Raises:
        InputInvalidError: no TOML, an unknown key, or a value out of its bounds; the message says where.
    """
    if len(text) > MAX_BYTES:
        raise InputInvalidError(f"{what}: {len(text)} characters, expected at most {MAX_BYTES}")
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputInvalidError(f"{what}: expected TOML: {error}") from error
    file = _as(tables, _File, what)
    return _checked(
        GatePolicy(
            version=file.version,
            limits=_as(file.limits, Limits, f"{what}: limits"),
            feed={name: _as(table, Feed, f"{what}: feed.{name}") for name, table in file.feed.items()},
            adapter=tuple(_as(table, Adapter, f"{what}: adapter") for table in file.adapter),
            operators=file.operators,
            feed_users=file.feed_users,
            default=_as(file.defaults, RepositoryPolicy, f"{what}: defaults"),
            repositories={
                name: _as(_over(file.defaults, table), RepositoryPolicy, f"{what}: repository.{name}")
                for name, table in file.repository.items()
            },
        ),
        what,
    )


def _as(table: Any, wanted: type[T], what: str) -> T:
    try:
        return msgspec.convert(table, wanted)
    except msgspec.ValidationError as error:
        raise InputInvalidError(f"{what}: {error}") from error


def _over(defaults: dict[str, Any], table: dict[str, Any]) -> dict[str, Any]:
    rules = table.get("rules", {})
    if not isinstance(rules, dict):
        return table
    return {**defaults, **table, "rules": {**defaults.get("rules", {}), **rules}}


def _checked(policy: GatePolicy, what: str) -> GatePolicy:
    limits = policy.limits
    bounds = [
        ("limits.deadline-ms", limits.deadline_ms, 100, 1_900),
        ("limits.reread-ms", limits.reread_ms, 0, limits.deadline_ms - 50),
        ("limits.shown-bugs", limits.shown_bugs, 0, 3),
        ("limits.sensitive-hits-per-day", limits.sensitive_hits_per_day, 0, 1_000_000),
        ("limits.connections", limits.connections, 1, 10_000),
        ("limits.connections-per-user", limits.connections_per_user, 1, limits.connections),
        ("limits.max-push-bytes", limits.max_push_bytes, 1_048_576, 1 << 34),
    ]
    for name, each in {"": policy.default, **policy.repositories}.items():
        bounds.append((f"repository {name}: max-stale-s".replace(" :", ":"), each.max_stale_s, 1, 604_800))
        if each.source not in {*policy.feed, RepositoryPolicy().source}:
            raise InputInvalidError(
                f"{what}: {f'repository {name}' if name else 'defaults'}: source {each.source!r}: there is no table "
                f"[feed.{each.source}]"
            )
    for name, feed in policy.feed.items():
        bounds.append((f"feed.{name}.canary", feed.canary or 1, 1, MAX_BUG))
        bounds.append((f"feed.{name}.ahead", feed.ahead, 0, MAX_BUG))
    for name, value, least, most in bounds:
        if not least <= value <= most:
            raise InputInvalidError(f"{what}: {name}: expected {least} to {most}, found {value}")
    return policy
