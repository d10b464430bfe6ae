"""What the gate answers: findings, the verdict over all of them, and the text that the pusher reads.

Source: docs/reference/gate.md#verdicts
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import msgspec

from liftlock.domain.pushes.gate_policy import Rule

Severity = Literal["noted", "warn", "reject"]
Outcome = Literal["allow", "warn", "reject"]
_MAX_FINDINGS_SHOWN = 3


class Finding(NamedTuple):
    """A rule that one commit breaks because of one bug.

    `relaxed`: why it does not reject although the rule is enforced: a backout, a mention in the body, a list that is too
    old, or an operator's override; empty if nothing was relaxed.
    """

    rule: Rule
    severity: Severity
    revision: str
    bug: int
    needs: str
    """The flag or token that is missing."""
    sensitive: bool
    relaxed: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one push. `would_reject`: rules that are only warned of found something to reject."""

    outcome: Outcome
    text: str
    findings: tuple[Finding, ...] = ()
    would_reject: bool = False


class Wording(NamedTuple):
    """What may be shown: at most `shown_bugs` numbers; `link` has `{bug}`; `generic` shows no number at all."""

    link: str
    shown_bugs: int
    generic: bool = False
    note: str = ""


def outcome_of(findings: Iterable[Finding]) -> Outcome:
    """Return the strictest outcome that the findings ask for."""
    severities = {finding.severity for finding in findings}
    return "reject" if "reject" in severities else "warn" if "warn" in severities else "allow"


def judge(findings: Sequence[Finding], wording: Wording) -> Verdict:
    """Return the verdict on a push with these findings, in the order in which its commits were listed."""
    outcome = outcome_of(findings)
    return Verdict(
        outcome=outcome,
        text=_text(outcome, findings, wording),
        findings=tuple(findings),
        would_reject=any(finding.severity == "warn" and not finding.relaxed for finding in findings),
    )


def _text(outcome: Outcome, findings: Sequence[Finding], wording: Wording) -> str:
    lines = [f"liftlock: {wording.note}"] if wording.note else []
    told = [
        finding for finding in findings if finding.severity == ("reject" if outcome == "reject" else "warn")
    ]
    if not told:
        return "\n".join(lines)
    head = "push rejected" if outcome == "reject" else "warning"
    if wording.generic:
        lines.append(
            f"liftlock: {head}: it names bugs that may not land like this. You have asked about too many of them "
            "today, so no more is said: ask an operator"
        )
        return "\n".join(lines)
    groups = _grouped(told)
    commits = len({revision for revision, _ in groups})
    lines.append(f"liftlock: {head}: {commits} commit{'s' * (commits != 1)} of this push:")
    shown: dict[int, None] = {}
    left_off = 0
    for number, ((revision, bug), group) in enumerate(groups.items()):
        if number >= _MAX_FINDINGS_SHOWN or (bug not in shown and len(shown) >= wording.shown_bugs):
            left_off += 1
            continue
        shown.setdefault(bug)
        lines.append(f"liftlock:   {revision[:12]} names bug {bug}: {_what(group)}")
        lines.append(f"liftlock:     {_advice(group, wording.link.replace('{bug}', str(bug)), outcome)}")
    if left_off:
        lines.append(f"liftlock:   and {left_off} more")
    return "\n".join(lines)


def _grouped(findings: Sequence[Finding]) -> dict[tuple[str, int], list[Finding]]:
    groups: dict[tuple[str, int], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.revision, finding.bug), []).append(finding)
    return groups


def _what(group: Sequence[Finding]) -> str:
    said = []
    sensitive = {"security-approval", "approval-token"} & {finding.rule for finding in group}
    if sensitive:
        said.append("it is security-sensitive")
    for finding in group:
        match finding.rule:
            case "security-approval":
                said.append(f"no live patch in it has {finding.needs}+")
            case "approval-token":
                said.append("the message does not say who approved it (a=name)")
            case "uplift":
                said.append(f"it has no {finding.needs}+ for this branch")
            case "closed-bug":
                said.append("it is closed already")
            case "unknown-bug":
                said.append("there is no such bug")
    relaxed = sorted({finding.relaxed for finding in group if finding.relaxed})
    return "; ".join(dict.fromkeys(said)) + (f" (only a warning: {', '.join(relaxed)})" if relaxed else "")


def _advice(group: Sequence[Finding], link: str, outcome: Outcome) -> str:
    steps = []
    for finding in group:
        match finding.rule:
            case "security-approval" | "uplift":
                steps.append(f"request {finding.needs} on the patch at {link} and push once it is granted")
            case "approval-token":
                steps.append("add a=name of who approved to the message")
            case "closed-bug":
                steps.append("file a new bug, or add the word CLOSEDBUG to the message if it is meant")
            case "unknown-bug":
                steps.append("correct the number in the message")
    advice = "; ".join(dict.fromkeys(steps))
    return f"to do: {advice}" if outcome == "reject" else f"it landed; to do next time: {advice}"
