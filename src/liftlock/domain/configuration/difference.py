"""Three-way difference: what files say, what was applied last, what the server has now.

Source: docs/reference/configuration.md#plan
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from liftlock.domain.configuration.resources import GIVING, Key, Managed, Resource, Resources
from liftlock.domain.scopes.satisfaction import ScopeSet

Verb = Literal["create", "update", "delete"]


class Change(msgspec.Struct, frozen=True):
    """What it takes to make one resource what the files say.

    `widens` and `narrows` say in words what it lets anybody do more, or less. `drift`: the server does not have what
    was applied last, so somebody changed it beside the files; `drifted` says how.
    """

    verb: Verb
    key: Key
    before: Resource | None
    after: Resource | None
    widens: tuple[str, ...]
    narrows: tuple[str, ...]
    fields: tuple[str, ...]
    drift: bool

    @property
    def order(self) -> tuple[bool, bool, Key]:
        """Sorts widening first, then drift, then by name."""
        return not self.widens, not self.drift, self.key


class Applied(msgspec.Struct, frozen=True):
    """What the server keeps of the last apply: digests by key, and those that an unfinished one was to reach."""

    digests: dict[str, str] = {}
    target: dict[str, str] | None = None


class Plan(msgspec.Struct, frozen=True):
    """All changes, widening first."""

    changes: tuple[Change, ...]
    unchanged: int

    @property
    def widening(self) -> tuple[Change, ...]:
        """The changes that let somebody do more than before."""
        return tuple(change for change in self.changes if change.widens)

    @property
    def drifted(self) -> tuple[Change, ...]:
        """The changes that undo what somebody did beside the files."""
        return tuple(change for change in self.changes if change.drift)


def plan(files: Resources, applied: Applied, live: Mapping[Key, Resource], managed: Managed) -> Plan:
    """Return what makes the managed part of `live` what `files` say. What is not managed is not looked at."""
    have = managed.of(live)
    changes = []
    unchanged = 0
    for key in sorted(files.keys() | have.keys()):
        before, after = have.get(key), files.get(key)
        if before is not None and after is not None and before.content == after.content:
            unchanged += 1
            continue
        changes.append(_change(key, before, after, _is_drift(key, before, applied)))
    return Plan(tuple(sorted(changes, key=lambda change: change.order)), unchanged)


def _is_drift(key: Key, before: Resource | None, applied: Applied) -> bool:
    """Tell whether the server has what no apply left there. While one is unfinished, nobody can tell."""
    if applied.target is not None or not applied.digests:
        return False
    return applied.digests.get(str(key)) != (None if before is None else before.digest)


def _change(key: Key, before: Resource | None, after: Resource | None, drift: bool) -> Change:
    verb: Verb = "create" if before is None else "delete" if after is None else "update"
    old, new = _content(before), _content(after)
    fields = tuple(name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name))
    if key.kind in GIVING:
        widens, narrows = _scopes(before), _scopes(after)
        return Change(
            verb, key, before, after, _beyond(narrows, widens), _beyond(widens, narrows), fields, drift
        )
    return Change(verb, key, before, after, *_in_words(key, old, new), fields, drift)


def _content(resource: Resource | None) -> dict[str, Any]:
    return {} if resource is None else resource.content


def _scopes(resource: Resource | None) -> tuple[str, ...]:
    return () if resource is None else resource.scopes


def _beyond(some: Iterable[str], others: Iterable[str]) -> tuple[str, ...]:
    """Return those of `some` that `others` do not give."""
    held = ScopeSet(others)
    return tuple(scope for scope in some if not held.satisfies(scope))


def _in_words(key: Key, old: dict[str, Any], new: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    match key.kind:
        case "Project":
            return _project_words(old, new)
        case "ActionPolicy":
            return _policy_words(old, new)
        case "Hook":
            return _hook_words(key, old, new)
        case _:
            return (), ()


def _project_words(old: dict[str, Any], new: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    widens: list[str] = []
    narrows: list[str] = []
    for words, before, after in ((widens, old, new), (narrows, new, old)):
        if after.get("level", 0) > before.get("level", 0):
            words.append(f"pushes run at level {after['level']}")
        more = sorted(set(after.get("branches", ())) - set(before.get("branches", ())))
        words += [f"pushes to {branch} run tasks" for branch in more]
        if before and after and before.get("identityUrl") != after.get("identityUrl"):
            words.append(f"pushes run with the roles of {after['identityUrl']}")
    if old and new and old.get("fetchUrl") != new.get("fetchUrl"):
        widens.append(f"what is at {new['fetchUrl']} counts as pushed")
    return tuple(widens), tuple(narrows)


def _policy_words(old: dict[str, Any], new: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    found = []
    for before, after in ((old, new), (new, old)):
        words = [f"pushes bring hooks for {name}" for name in _more(before, after, "permissions")]
        words += [f"{name} needs nobody's consent" for name in _more(before, after, "selfAdmitted")]
        words += [f"pushes at level {level} bring hooks" for level in _more(before, after, "levels")]
        found.append(words)
    gone = sorted(set(old.get("inputSchemas", {})) - set(new.get("inputSchemas", {})))
    found[0] += [
        f"the input of {name} is no longer limited" for name in gone if name in new.get("permissions", ())
    ]
    return tuple(found[0]), tuple(found[1])


def _more(before: dict[str, Any], after: dict[str, Any], name: str) -> list[Any]:
    return sorted(set(after.get(name, ())) - set(before.get(name, ())))


def _hook_words(
    key: Key, old: dict[str, Any], new: dict[str, Any]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if not old:
        return (f"who may trigger {key.id} has its role's scopes used",), ()
    if not new:
        return (), (f"{key.id} can't be triggered any more",)
    words = []
    if old.get("task") != new.get("task"):
        words.append("its role's scopes are used by another task")
    if old.get("triggerSchema") != new.get("triggerSchema"):
        words.append("it takes another payload")
    if set(new.get("schedule", ())) - set(old.get("schedule", ())):
        words.append("it fires by itself at further times")
    return tuple(words), ()
