"""What binds the firing of an action's hook to a push that liftlock itself recorded.

The payload of such a hook says which repository, which push and which task it is about, and a caller is believed in
none of it: every word must equal the record of the push whose decision task started the group. Each rule is one line
of `RULES`; the first that does not hold is the reason of the refusal.

Source: docs/reference/actions.md#binding
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from liftlock.domain.actions.naming import ActionHookName, short_of

GENERATORS_OWNER: Final = "mozilla-taskcluster-maintenance@mozilla.com"
"""taskgraph (24.5, as before) writes this constant as the owner into every action's payload, whoever pushed; it names
nobody, so it is let through beside the recorded owner."""


@dataclass(frozen=True, slots=True)
class BindingRefusal:
    """Why an action's hook does not fire: `rule` is permanent, `message` is for people."""

    rule: str
    message: str


@dataclass(frozen=True, slots=True)
class RecordedDecision:
    """What liftlock knows of the group: the push, scheduled run or pull request that it recorded a decision task for.

    `config_digest` is the sha256 of the `.taskcluster.yml` there; `branches` are those with a recorded head.
    """

    task_id: str
    project: str
    identity: str
    level: int
    trust_domain: str
    branch: str
    revision: str
    base_revision: str
    owner: str
    pushlog_id: int
    config_digest: str | None
    branches: tuple[str, ...]
    kind: Literal["push", "cron", "pull"] = "push"

    @property
    def title(self) -> str:
        """What it is, in messages."""
        match self.kind:
            case "push":
                return f"push {self.pushlog_id} of {self.project}"
            case "cron":
                return f"a scheduled run of {self.project}"
            case "pull":
                return f"a pull request of {self.project}"


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that the rules compare the payload with.

    `content_digest` is the full digest stored under the hook's short name, None if there is none; `in_policy` whether the policy of the present has hooks for that
    permission and level at all, `target_group` the
    group of the task that the user names, None if there is no such task; `known_ancestor` whether the payload's base
    revision is in the history of the recorded one; `registered_alike` whether identity, level and trust domain of the
    project are still those that were recorded with the push.
    """

    hook: ActionHookName
    decision: RecordedDecision
    content_digest: str | None
    admitted: bool
    in_policy: bool
    target_group: str | None
    known_ancestor: bool
    registered_alike: bool


@dataclass(frozen=True, slots=True)
class Claimed:
    """The payload, taken apart; nothing in it is believed."""

    group: str
    url: object
    base_url: object
    project: object
    level: object
    owner: object
    pushlog_id: object
    revision: object
    base_revision: object
    branch: object
    base_branch: object
    task_id: str | None
    task_group_id: object


def read_payload(payload: Any) -> Claimed | BindingRefusal:
    """Return what `payload` claims, or the refusal if it is not of the form that actions send."""
    try:
        decision, user = payload["decision"], payload["user"]
        repository, push = decision["repository"], decision["push"]
        group, task_id = decision["action"]["taskGroupId"], user["taskId"]
        if not isinstance(group, str) or not (task_id is None or isinstance(task_id, str)):
            return BindingRefusal("payload", "the payload's task ids are no text")
        return Claimed(
            group=group,
            url=repository["url"],
            base_url=repository.get("base_url", repository["url"]),
            project=repository["project"],
            level=repository["level"],
            owner=push["owner"],
            pushlog_id=push["pushlog_id"],
            revision=push["revision"],
            base_revision=push["base_revision"],
            branch=push.get("branch"),
            base_branch=push.get("base_branch"),
            task_id=task_id,
            task_group_id=user["taskGroupId"],
        )
    except (KeyError, TypeError, AttributeError, IndexError):
        return BindingRefusal(
            "payload", "the payload is not what an action sends: decision and user are needed"
        )


def check_binding(claimed: Claimed, facts: Facts) -> BindingRefusal | None:
    """Return None if every rule holds, else the refusal by the first that does not."""
    for name, holds, message in RULES:
        if not holds(claimed, facts):
            return BindingRefusal(name, message(claimed, facts))
    return None


Rule = tuple[str, Callable[[Claimed, Facts], bool], Callable[[Claimed, Facts], str]]


def _differs(
    what: str, expected: Callable[[Facts], object], got: Callable[[Claimed], object]
) -> Callable[..., str]:
    def message(claimed: Claimed, facts: Facts) -> str:
        return (
            f"{what}: the payload says {str(got(claimed))[:128]!r}, but group {facts.decision.task_id} is that of "
            f"{facts.decision.title}, with {str(expected(facts))!r}"
        )

    return message


def _base_is_known(claimed: Claimed, facts: Facts) -> bool:
    given, recorded = claimed.base_revision, facts.decision
    zeros = isinstance(given, str) and given != "" and not given.strip("0")
    return given in (recorded.base_revision, recorded.revision) or facts.known_ancestor or zeros


def _is_number(given: object, recorded: int) -> bool:
    """Tell whether `given` is the number, or its text as taskgraph's parameters hold it."""
    return type(given) in (int, str) and str(given) == str(recorded)


RULES: Final[tuple[Rule, ...]] = (
    (
        "repository",
        lambda c, f: c.url == f.decision.identity,
        _differs("repository.url", lambda f: f.decision.identity, lambda c: c.url),
    ),
    (
        "base-repository",
        lambda c, f: c.base_url == f.decision.identity,
        _differs("repository.base_url", lambda f: f.decision.identity, lambda c: c.base_url),
    ),
    (
        "project",
        lambda c, f: c.project == f.decision.project,
        _differs("repository.project", lambda f: f.decision.project, lambda c: c.project),
    ),
    (
        "level",
        lambda c, f: _is_number(c.level, f.decision.level),
        _differs("repository.level", lambda f: f.decision.level, lambda c: c.level),
    ),
    (
        "revision",
        lambda c, f: c.revision == f.decision.revision,
        _differs("push.revision", lambda f: f.decision.revision, lambda c: c.revision),
    ),
    (
        "base-revision",
        _base_is_known,
        _differs("push.base_revision", lambda f: f.decision.base_revision, lambda c: c.base_revision),
    ),
    (
        "branch",
        lambda c, f: c.branch in (None, f.decision.branch, f"refs/heads/{f.decision.branch}"),
        _differs("push.branch", lambda f: f.decision.branch, lambda c: c.branch),
    ),
    (
        "base-branch",
        lambda c, f: c.base_branch is None or c.base_branch in f.decision.branches,
        _differs("push.base_branch", lambda f: list(f.decision.branches), lambda c: c.base_branch),
    ),
    (
        "owner",
        lambda c, f: c.owner in (f.decision.owner, GENERATORS_OWNER),
        _differs("push.owner", lambda f: f.decision.owner, lambda c: c.owner),
    ),
    (
        "pushlog-id",
        lambda c, f: _is_number(c.pushlog_id, f.decision.pushlog_id),
        _differs("push.pushlog_id", lambda f: f.decision.pushlog_id, lambda c: c.pushlog_id),
    ),
    (
        "group",
        lambda c, f: c.task_group_id == f.decision.task_id == c.group,
        _differs("user.taskGroupId", lambda f: f.decision.task_id, lambda c: c.task_group_id),
    ),
    (
        "task",
        lambda c, f: c.task_id is None or f.target_group == f.decision.task_id,
        lambda c, f: f"user.taskId: {str(c.task_id)[:64]} is no task of group {f.decision.task_id}",
    ),
    (
        "hook-kind",
        lambda c, f: f.hook.pull == (f.decision.kind == "pull"),
        lambda c, f: (
            f"the hook is for actions of {'pull requests' if f.hook.pull else 'pushes'}, and group "
            f"{f.decision.task_id} is that of {f.decision.title}"
        ),
    ),
    (
        "hook-level",
        lambda c, f: f.hook.level == f.decision.level,
        lambda c, f: (
            f"the hook is for level {f.hook.level}, and {f.decision.project} has level {f.decision.level}"
        ),
    ),
    (
        "hook-trust-domain",
        lambda c, f: f.hook.trust_domain == f.decision.trust_domain,
        lambda c, f: (
            f"the hook is {f.hook.trust_domain}'s, and {f.decision.project} belongs to {f.decision.trust_domain}"
        ),
    ),
    (
        "registration",
        lambda c, f: f.registered_alike,
        lambda c, f: (
            f"{f.decision.project} was registered with another identity, level or trust domain after "
            f"{f.decision.title}: actions need one that was recorded since"
        ),
    ),
    (
        "content",
        lambda c, f: (
            f.decision.config_digest is not None
            and f.content_digest == f.decision.config_digest
            and f.hook.short == short_of(f.decision.config_digest)
        ),
        lambda c, f: (
            f"the hook is made of the .taskcluster.yml with sha256 {f.content_digest or '(none recorded)'}, but "
            f"{f.decision.title} has {f.decision.config_digest or '(none)'}"
        ),
    ),
    (
        "policy",
        lambda c, f: f.in_policy,
        lambda c, f: (
            f"the policy of {f.hook.trust_domain} has no hooks for {f.hook.permission} at level {f.hook.level} any more"
        ),
    ),
    (
        "admission",
        lambda c, f: f.admitted,
        lambda c, f: (
            f"the .taskcluster.yml with sha256 {f.content_digest} is not admitted for {f.hook.admitted_as} at level "
            f"{f.hook.level}: somebody other than the pusher, with pushes:admit-hooks:{f.hook.level}:"
            f"{f.hook.admitted_as}, has to run: liftlock push admit {f.content_digest} --trust-domain "
            f"{f.hook.trust_domain} --level {f.hook.level} --permission {f.hook.admitted_as}"
        ),
    ),
)
"""(name, whether it holds, the message if not), in the order in which they are checked."""
