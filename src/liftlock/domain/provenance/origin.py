"""Where a group of tasks came from: its push, and what its decision task offers.

Source: docs/reference/provenance.md#push
"""

from __future__ import annotations

from typing import Any, Final

from liftlock.domain.provenance.chain import SignedChain
from liftlock.domain.provenance.levels import level_of
from liftlock.errors import MalformedPayloadError
from liftlock.values.json import decode

CHECKOUTS: Final = frozenset({"git", "hg"})
"""Kinds of input that are a recorded revision of a repository."""


def offers_action(document: bytes, name: str) -> bool:
    """Tell whether an actions.json offers an action of that name."""
    try:
        said = decode(document, what="actions.json")
    except MalformedPayloadError:
        return False
    actions = said.get("actions") if isinstance(said, dict) else None
    return isinstance(actions, list) and any(
        isinstance(each, dict) and each.get("name") == name for each in actions
    )


def check_push(decision: SignedChain, push: dict[str, Any], level: int) -> tuple[list[str], str]:
    """Return what is wrong between a decision task and the push that it claims, and what the push was.

    Args:
        level: What the chain must be worth: the push's project must be of it, or above.
    """
    problems = []
    if push.get("taskId") != decision.task_id:
        problems.append(f"the push started task {push.get('taskId')}")
    sources = [one for one in decision.inputs if one.get("kind") in CHECKOUTS]
    if not any(
        one.get("commit") == push.get("revision") and one.get("project") == push.get("project")
        for one in sources
    ):
        found = ", ".join(f"{one.get('project')}@{one.get('commit')}" for one in sources) or "no repository"
        problems.append(f"it pushed {push.get('project')}@{push.get('revision')}; the decision read {found}")
    pushed_level = push.get("level")
    if not isinstance(pushed_level, int) or pushed_level < max(level, level_of(decision.task)):
        problems.append(
            f"the project is of level {pushed_level}; the chain needs {max(level, level_of(decision.task))}"
        )
    domain = f"{push.get('trustDomain')}-level-"
    if not str(decision.task.get("schedulerId", "")).startswith(domain):
        problems.append(f"the decision's schedulerId is not of trust domain {push.get('trustDomain')}")
    return problems, _shown(push)


def _shown(push: dict[str, Any]) -> str:
    standing = {"authenticated": "authenticated", "claimed": "as the pusher's hook said"}.get(
        str(push.get("ownerStanding")), "as the commit says"
    )
    gate = push.get("gate")
    verdict = f"; gate: {gate}" if gate is not None else "; no gate verdict is recorded"
    return (
        f"push {push.get('id')} of {push.get('project')} ({push.get('identityUrl')}) branch {push.get('branch')},"
        f" level {push.get('level')}, by {push.get('owner')} ({standing}), at {push.get('at')}{verdict}"
    )
