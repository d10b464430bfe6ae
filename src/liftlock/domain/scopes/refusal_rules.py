"""Refusals that no scope lifts: each rule by its permanent name, with what must hold and who can do what about it.

A refusal for want of scopes names them, and is explained from roles and clients. All others carry the name of a rule from here.

Source: docs/reference/access.md#refusals
"""

from __future__ import annotations

from typing import Final, NamedTuple


class RefusalRule(NamedTuple):
    """`holds`: what must be so; `remedy`: what to do; `page`: where it is documented, below docs/reference."""

    holds: str
    remedy: str
    page: str


_BINDING: Final = "actions.md#binding"
_SAME: Final = "Trigger the action from the task group it belongs to, with what its actions.json says."
_NEW_PUSH: Final = "Push again, or use the actions of a newer push."
RULES: Final[dict[str, RefusalRule]] = {
    "hook-name": RefusalRule("liftlock makes action hooks of this name", _SAME, _BINDING),
    "payload": RefusalRule("the payload has the form that actions send", _SAME, _BINDING),
    "decision": RefusalRule(
        "the group is that of a decision task that liftlock created for a push, a scheduled run or a pull request",
        _SAME,
        _BINDING,
    ),
    "repository": RefusalRule("the payload names the project's own address", _SAME, _BINDING),
    "base-repository": RefusalRule("the payload names the project's own address as base", _SAME, _BINDING),
    "project": RefusalRule("the payload names the recorded project", _SAME, _BINDING),
    "level": RefusalRule("the payload names the recorded level", _SAME, _BINDING),
    "revision": RefusalRule("the payload names the recorded revision", _SAME, _BINDING),
    "base-revision": RefusalRule("the base is the recorded one, or an ancestor of it", _SAME, _BINDING),
    "branch": RefusalRule("the payload names the recorded branch", _SAME, _BINDING),
    "base-branch": RefusalRule("the base branch has a recorded head", _SAME, _BINDING),
    "owner": RefusalRule("the payload names the recorded owner", _SAME, _BINDING),
    "pushlog-id": RefusalRule("the payload names the push's number", _SAME, _BINDING),
    "group": RefusalRule("the action is asked for in its own task group", _SAME, _BINDING),
    "task": RefusalRule("the task belongs to that task group", "Name a task of the group.", _BINDING),
    "hook-kind": RefusalRule(
        "hooks for pull requests serve pull requests, all others pushes", _SAME, _BINDING
    ),
    "hook-level": RefusalRule("the hook is for the push's level", _SAME, _BINDING),
    "hook-trust-domain": RefusalRule("the hook is the trust domain's own", _SAME, _BINDING),
    "registration": RefusalRule(
        "the project has the identity, level and trust domain that were recorded", _NEW_PUSH, _BINDING
    ),
    "content": RefusalRule(
        "the hook was made of the push's own .taskcluster.yml, by the full sha256", _NEW_PUSH, _BINDING
    ),
    "policy": RefusalRule(
        "the present policy has hooks for the permission at that level",
        "Whoever keeps the policy of the trust domain has to add the permission.",
        "actions.md#policy",
    ),
    "admission": RefusalRule(
        "the content is admitted for the permission at that level",
        "Somebody other than the pusher runs `liftlock push admit`; `liftlock push waiting` lists what waits.",
        "actions.md#policy",
    ),
    "offer": RefusalRule(
        "the decision task itself has the scope to offer the hook",
        "Give the repository's role the scope in-tree:hook-action:<group>/<hook> that the refusal names.",
        _BINDING,
    ),
    "own-content": RefusalRule(
        "nobody admits what he pushed himself", "Somebody else has to admit it.", "actions.md#policy"
    ),
    "proven-pusher": RefusalRule(
        "who pushed is known from a host that authenticates pushers",
        "Push through such a host, with a right to vouch for its pushers.",
        "actions.md#policy",
    ),
    "privileged-queue": RefusalRule(
        "only an operation creates and runs tasks for privileged workers",
        "Ask for one with `liftlock operation request`.",
        "operations.md",
    ),
    "approval": RefusalRule(
        "the approval is by somebody who may give it, of exactly what is asked for",
        "`liftlock approval show` says who may approve, and by which factors.",
        "approvals.md",
    ),
    "webhook": RefusalRule(
        "the webhook is signed with the app's secret, and new",
        "Set the same secret at the forge and in the integrations file.",
        "github.md",
    ),
    "dispatch": RefusalRule(
        "a rule of the integrations file takes this event from this sender",
        "Whoever keeps the integrations file has to add one.",
        "dispatch.md",
    ),
    "download-address": RefusalRule(
        "the address was made for this content, and not long ago",
        "Ask for the artifact again: the answer leads to a new address.",
        "object.md",
    ),
    "program-sign-in": RefusalRule(
        "who signs a program in is a person, and has something of what the program asks for",
        "Sign in as a person who has the scopes that the program needs.",
        "pages.md",
    ),
    "worker-identity": RefusalRule(
        "the worker shows the secret of its pool, or of its registration",
        "Compare the worker's settings with the pool's, and register it again.",
        "worker-manager.md",
    ),
}
