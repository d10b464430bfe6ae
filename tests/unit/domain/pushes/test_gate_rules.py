"""What one commit breaks, and how the verdict says it."""

from __future__ import annotations

from liftlock.domain.pushes.feed import BLOCKING, Reason, Record
from liftlock.domain.pushes.gate_policy import RepositoryPolicy, Rules
from liftlock.domain.pushes.gate_rules import Circumstances, Landing, examine
from liftlock.domain.pushes.message import read
from liftlock.domain.pushes.verdict import Finding, Wording, judge

HEX = "0123456789abcdef0123456789abcdef01234567"
WORDING = Wording("https://tracker.example/{bug}", 3)


def known(
    reason: Reason = "unapproved", *, uplift: tuple[str, ...] = (), closed: bool = False, bug: int = 7
) -> dict[int, Record]:
    return {
        bug: Record(bug=bug, seq=1, blocked=reason in BLOCKING, reason=reason, uplift=uplift, closed=closed)
    }


def found(
    message: str,
    bugs: dict[int, Record],
    policy: RepositoryPolicy | None = None,
    *,
    merge: bool = False,
    ref: str = "refs/heads/main",
    overridden: frozenset[int] = frozenset(),
    stale: bool = False,
    beyond: int | None = None,
) -> list[Finding]:
    given = Circumstances(
        policy or RepositoryPolicy(), bugs.get, overridden.__contains__, stale=stale, beyond=beyond
    )
    return list(examine(Landing(HEX, (ref,), merge, read(message.encode())), given))


def said(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.rule, finding.severity) for finding in findings]


def test_an_ordinary_bug_breaks_nothing() -> None:
    assert found("Bug 8 - x", known()) == []
    assert found("Bug 7 - x", known("ordinary")) == []
    assert found("Bug 7 - x", known("exempt")) == []


def test_a_sensitive_bug_needs_both_the_token_and_the_approval() -> None:
    """D1."""
    assert said(found("Bug 7 - x", known())) == [
        ("security-approval", "reject"),
        ("approval-token", "reject"),
    ]
    assert said(found("Bug 7 - x a=dveditz", known())) == [("security-approval", "reject")]
    assert said(found("Bug 7 - x", known("approved"))) == [("approval-token", "reject")]
    assert found("Bug 7 - x a=dveditz", known("approved")) == []


def test_a_bug_that_only_the_body_names_warns_unless_the_scope_is_the_message() -> None:
    findings = found("Tidy\n\nlike bug 7", known())
    assert {severity for _, severity in said(findings)} == {"warn"}
    strict = RepositoryPolicy(scope="message")
    assert {severity for _, severity in said(found("Tidy\n\nlike bug 7", known(), strict))} == {"reject"}


def test_a_backout_lands_with_a_warning_and_a_reland_does_not() -> None:
    assert {s for _, s in said(found("Backed out changeset 0123456 (bug 7)", known()))} == {"warn"}
    assert found("Back out bug 7", known(), RepositoryPolicy(backouts="allow")) == []
    assert {s for _, s in said(found("Back out bug 7", known(), RepositoryPolicy(backouts="check")))} == {
        "reject"
    }
    assert {s for _, s in said(found('Revert "Revert "Bug 7 - x""', known()))} == {"reject"}


def test_merges_are_looked_at_only_if_the_policy_says_so() -> None:
    assert found("Merge bug 7", known(), merge=True) == []
    assert found("Merge bug 7", known(), RepositoryPolicy(merges="check"), merge=True) != []


def test_each_rule_can_be_off_warn_or_enforce_by_itself() -> None:
    rules = Rules(security_approval="warn", approval_token="off")
    assert said(found("Bug 7 - x", known(), RepositoryPolicy(rules=rules))) == [("security-approval", "warn")]


def test_a_warning_of_a_rule_that_is_not_enforced_is_counted_as_would_reject() -> None:
    """D5."""
    rules = Rules(security_approval="warn", approval_token="off")
    verdict = judge(found("Bug 7 - x", known(), RepositoryPolicy(rules=rules)), WORDING)
    assert (verdict.outcome, verdict.would_reject) == ("warn", True)
    backout = judge(found("Back out bug 7", known()), WORDING)
    assert (backout.outcome, backout.would_reject) == ("warn", False)


def uplifting(of: str = "sensitive") -> RepositoryPolicy:
    return RepositoryPolicy(
        rules=Rules(uplift="enforce"),
        uplift={"beta": "approval-beta", "refs/heads/esr*": "approval-esr"},
        uplift_of="all" if of == "all" else "sensitive",
    )


def test_an_uplift_branch_needs_its_own_flag() -> None:
    message = "Bug 7 - x a=me"
    assert found(message, known("approved"), uplifting()) == []
    assert said(found(message, known("approved"), uplifting(), ref="refs/heads/beta")) == [
        ("uplift", "reject")
    ]
    granted = known("approved", uplift=("approval-beta",))
    assert found(message, granted, uplifting(), ref="refs/heads/beta") == []
    assert said(found(message, granted, uplifting(), ref="refs/heads/esr128")) == [("uplift", "reject")]


def test_an_uplift_of_an_ordinary_bug_needs_the_flag_only_if_the_policy_says_all() -> None:
    assert found("Bug 8 - x", {}, uplifting(), ref="refs/heads/beta") == []
    assert said(found("Bug 8 - x", {}, uplifting("all"), ref="refs/heads/beta")) == [("uplift", "reject")]


def test_a_closed_bug_needs_the_word_closedbug() -> None:
    policy = RepositoryPolicy(rules=Rules(closed_bug="enforce"))
    closed = known("ordinary", closed=True)
    assert said(found("Bug 7 - x", closed, policy)) == [("closed-bug", "reject")]
    assert found("Bug 7 - x CLOSEDBUG", closed, policy) == []
    assert found("Tidy\n\nsee bug 7", closed, policy) == []
    assert found("Back out bug 7", closed, policy) == []


def test_a_number_far_above_all_bugs_is_wrong() -> None:
    policy = RepositoryPolicy(rules=Rules(unknown_bug="enforce"))
    assert said(found("Bug 5000 - x", {}, policy, beyond=5000)) == [("unknown-bug", "reject")]
    assert found("Bug 4999 - x", {}, policy, beyond=5000) == []
    assert found("Bug 5000 - x", {}, policy) == []


def test_an_override_lets_one_bug_pass_and_leaves_a_trace() -> None:
    findings = found("Bug 7 - x", known(), overridden=frozenset({7}))
    assert {severity for _, severity in said(findings)} == {"noted"}
    assert judge(findings, WORDING).outcome == "allow"


def test_a_list_that_is_too_old_only_warns() -> None:
    findings = found("Bug 7 - x", known(), stale=True)
    assert {severity for _, severity in said(findings)} == {"warn"}
    assert "the list is too old" in judge(findings, WORDING).text


def test_the_text_says_what_is_wrong_with_which_commit_and_what_to_do() -> None:
    text = judge(found("Bug 7 - x", known()), WORDING).text
    assert text == (
        "liftlock: push rejected: 1 commit of this push:\n"
        "liftlock:   0123456789ab names bug 7: it is security-sensitive; no live patch in it has sec-approval+; "
        "the message does not say who approved it (a=name)\n"
        "liftlock:     to do: request sec-approval on the patch at https://tracker.example/7 and push once it is "
        "granted; add a=name of who approved to the message"
    )


def test_the_text_shows_three_bugs_and_counts_the_rest() -> None:
    bugs = {bug: known(bug=bug)[bug] for bug in range(11, 16)}
    text = judge(found("Bugs 11, 12, 13, 14 and 15", bugs), WORDING).text
    assert "bug 13:" in text
    assert "bug 14:" not in text
    assert text.endswith("and 2 more")


def test_the_text_does_not_tell_which_kind_of_refusal_it_was() -> None:
    """The oracle is the verdict alone: denied, requested and unasked read alike."""
    reasons: tuple[Reason, ...] = ("unapproved", "requested", "denied", "no-live-patch", "unreadable")
    assert len({judge(found("Bug 7 - x", known(reason)), WORDING).text for reason in reasons}) == 1


def test_who_asked_too_much_is_told_no_number() -> None:
    text = judge(found("Bug 7 - x", known()), WORDING._replace(generic=True)).text
    assert "7" not in text
    assert "rejected" in text
    assert "operator" in text
