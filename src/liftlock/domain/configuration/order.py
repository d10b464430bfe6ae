"""In which order changes are applied: no moment has more privilege than there was before or will be after.

Three phases. First every role and client loses what it shall not keep, and what shall not exist is deleted: each moment
is less than *before*. Then hooks, projects, pools and policies become what they shall be, while everybody holds only what
he holds both before and after. Then roles and clients get the rest: each moment is less than *after*. What is to be taken
away later is marked in the end: marks give and take nothing, and can only be put on what a role has.

Source: docs/reference/configuration.md#apply
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from liftlock.domain.configuration.difference import Change, Plan, Verb
from liftlock.domain.configuration.resources import GIVING, Key, Resource
from liftlock.domain.scopes.role_rules import PARAMETER
from liftlock.domain.scopes.satisfaction import in_order, satisfies

Phase = Literal["narrow", "define", "widen", "mark"]


class Step(msgspec.Struct, frozen=True):
    """One request: `key` becomes `after`, or is deleted if that is None."""

    phase: Phase
    verb: Verb
    key: Key
    after: Resource | None


def steps(plan: Plan) -> tuple[Step, ...]:
    """Return the requests that apply the plan, in order; one change may take two."""
    made = [step for change in plan.changes for step in _steps_of(change)]
    rank = {"narrow": 0, "define": 1, "widen": 2, "mark": 3}
    return tuple(sorted(made, key=lambda step: (rank[step.phase], step.verb != "delete", step.key)))


def _steps_of(change: Change) -> Iterator[Step]:
    if change.key.kind == "Retiring":
        yield Step("mark", change.verb, change.key, change.after)
        return
    if change.after is None:
        yield Step("narrow", "delete", change.key, None)
        return
    if change.key.kind not in GIVING:
        yield Step("define", change.verb, change.key, change.after)
        return
    if change.before is None:
        yield Step("widen", "create", change.key, change.after)
        return
    kept = common(change.before.scopes, change.after.scopes)
    if set(kept) == set(change.after.scopes):
        yield Step("narrow", "update", change.key, change.after)
        return
    if set(kept) != set(change.before.scopes):
        content = {**change.before.content, "scopes": list(kept)}
        yield Step("narrow", "update", change.key, msgspec.structs.replace(change.before, content=content))
    yield Step("widen", "update", change.key, change.after)


def common(some: Iterable[str], others: Iterable[str]) -> tuple[str, ...]:
    """Return the scopes that both give, in order.

    Those with a parameter count only where both have them as they are: what they give depends on who assumes the role.
    """
    left, right = tuple(some), tuple(others)
    found = set(left) & set(right)
    for these, those in ((left, right), (right, left)):
        wide = [scope for scope in those if scope.endswith("*") and PARAMETER not in scope]
        found.update(
            scope
            for scope in these
            if PARAMETER not in scope and any(satisfies(other, scope) for other in wide)
        )
    return in_order(found)
