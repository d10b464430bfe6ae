"""The gate's rules: what one new commit breaks, given what is known of the bugs that it names.

Source: docs/reference/gate.md#rules
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from liftlock.domain.pushes.feed import Record
from liftlock.domain.pushes.gate_policy import RepositoryPolicy, Rule
from liftlock.domain.pushes.message import Message
from liftlock.domain.pushes.verdict import Finding, Severity

Known = Callable[[int], Record | None]


class Landing(NamedTuple):
    """One commit that arrives: `refs` (one of Mercurial's branches, or refs of git's) are what it is new to."""

    revision: str
    refs: tuple[str, ...]
    merge: bool
    message: Message


class Circumstances(NamedTuple):
    """What holds for the whole push.

    `stale`: the list is older than the policy bears and fails open. `overridden`: whether an operator lets a bug pass.
    `beyond`: numbers from here on are no bugs yet; None if the tracker does not say.
    """

    policy: RepositoryPolicy
    known: Known
    overridden: Callable[[int], bool]
    approval_flag: str = "sec-approval"
    stale: bool = False
    beyond: int | None = None


def examine(landing: Landing, given: Circumstances) -> Iterator[Finding]:
    """Yield what the commit breaks: for each bug of the subject, then for each that only the body names."""
    message = landing.message
    if landing.merge and given.policy.merges == "skip":
        return
    for bug in message.subject:
        yield from _of_bug(landing, bug, given, in_subject=True)
    for bug in message.body:
        yield from _of_bug(landing, bug, given, in_subject=False)


def _of_bug(landing: Landing, bug: int, given: Circumstances, *, in_subject: bool) -> Iterator[Finding]:
    record, policy = given.known(bug), given.policy
    sensitive = record is not None and record.sensitive
    backwards = landing.message.direction == "backout" and policy.backouts != "check"
    relaxed = _relaxation(bug, given, backwards=backwards, in_subject=in_subject)
    broken: list[tuple[Rule, str]] = []
    if sensitive and not (backwards and policy.backouts == "allow"):
        broken += _of_sensitive(landing, record, given)
    if policy.uplift and (sensitive or policy.uplift_of == "all") and not backwards:
        granted = record.uplift if record is not None else ()
        broken += [("uplift", flag) for flag in policy.uplift_flags(landing.refs) if flag not in granted]
    if in_subject and not backwards:
        if record is not None and record.closed and not landing.message.closed_on_purpose:
            broken.append(("closed-bug", "CLOSEDBUG"))
        if given.beyond is not None and bug >= given.beyond:
            broken.append(("unknown-bug", ""))
    for rule, needs in broken:
        severity = _severity(rule, policy, relaxed)
        if severity is not None:
            yield Finding(rule, severity, landing.revision, bug, needs, sensitive, relaxed)


def _of_sensitive(
    landing: Landing, record: Record | None, given: Circumstances
) -> Iterator[tuple[Rule, str]]:
    if record is not None and record.blocked:
        yield "security-approval", given.approval_flag
    if not landing.message.approved_by:
        yield "approval-token", "a="


def _relaxation(bug: int, given: Circumstances, *, backwards: bool, in_subject: bool) -> str:
    """Return why what is found for this bug must not reject, or nothing."""
    if given.overridden(bug):
        return "override"
    if backwards:
        return "backout"
    if not in_subject and given.policy.scope == "subject":
        return "only the body names it"
    return "the list is too old" if given.stale else ""


def _severity(rule: Rule, policy: RepositoryPolicy, relaxed: str) -> Severity | None:
    mode = policy.rules.mode(rule)
    if mode == "off":
        return None
    if relaxed == "override":
        return "noted"
    return "warn" if mode == "warn" or relaxed else "reject"
