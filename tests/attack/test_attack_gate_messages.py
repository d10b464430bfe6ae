"""Messages that a careless author could write and that must not carry a sensitive fix past the gate."""

from __future__ import annotations

import pytest

from liftlock.domain.pushes.feed import Record
from liftlock.domain.pushes.gate_policy import RepositoryPolicy
from liftlock.domain.pushes.gate_rules import Circumstances, Landing, examine
from liftlock.domain.pushes.message import read

BUG = 1_234_567
RECORD = Record(bug=BUG, seq=1, blocked=True, reason="unapproved")


def rejected_for(message: str) -> set[str]:
    given = Circumstances(RepositoryPolicy(), {BUG: RECORD}.get, lambda _: False)
    landing = Landing("0" * 40, ("refs/heads/main",), merge=False, message=read(message.encode()))
    return {finding.rule for finding in examine(landing, given) if finding.severity == "reject"}


@pytest.mark.parametrize(
    "message",
    [
        "Bug 1234567 - Fix UAF (no bug for the test) a=me",
        "Bug 1234567: UAF. No bug left behind a=me",
        "No bug - Follow-up to bug 1234567 a=me",
    ],
)
def test_the_words_no_bug_do_not_hide_a_sensitive_bug(message: str) -> None:
    assert rejected_for(message) == {"security-approval"}


@pytest.mark.parametrize(
    "gap", ["\u00a0", "\u202f", " \u2013 ", " " * 20, "\n", "\r\n", " [", " (", " number "]
)
def test_no_space_dash_line_break_or_bracket_hides_a_sensitive_bug(gap: str) -> None:
    assert rejected_for(f"Fix UAF a=me, bug{gap}1234567") == {"security-approval"}


@pytest.mark.parametrize(
    "message",
    [
        "Bug 1234567 - Back out of the loop early if the length overflows a=me",
        "Revert to the checked path, bug 1234567 a=me",
        'Revert "Back out the parser change (bug 1234567)" a=me',
    ],
)
def test_a_fix_that_only_begins_like_a_backout_is_rejected(message: str) -> None:
    assert rejected_for(message) == {"security-approval"}


@pytest.mark.parametrize("code", ["call f(a=value)", "set (a=b+c)", "`a=value`", "when a=b() is null"])
def test_code_in_a_message_approves_nothing(code: str) -> None:
    assert rejected_for(f"Bug 1234567 - {code}") == {"security-approval", "approval-token"}
