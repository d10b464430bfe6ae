"""Selectors: the expressions, and what they make of a bug."""

from __future__ import annotations

from typing import Any

import pytest

from liftlock.domain.pushes.bug_state import BugState, FlagStatus, Patch, PatchKind
from liftlock.domain.pushes.selectors import assess, parse, parse_selectors
from liftlock.errors import InputInvalidError


def bug(*keywords: str, **fields: Any) -> BugState:
    return BugState(keywords=keywords, **fields)


def patch(number: int = 1, *, live: bool = True, kind: PatchKind = "patch", **flags: FlagStatus) -> Patch:
    named: dict[str, FlagStatus] = {name.replace("_", "-"): status for name, status in flags.items()}
    return Patch(id=number, live=live, kind=kind, flags=named)


@pytest.mark.parametrize(
    ("text", "state", "expected"),
    [
        ("keyword:sec-high", bug("sec-high"), True),
        ("keyword:sec-high", bug("sec-higher"), False),
        ("keyword:sec-*", bug("x", "sec-low"), True),
        ("keyword:a or keyword:b and keyword:c", bug("a"), True),
        ("(keyword:a or keyword:b) and keyword:c", bug("a"), False),
        ("not keyword:a and keyword:b", bug("b"), True),
        ("not (keyword:a and keyword:b)", bug("b"), True),
        ("private", bug(groups=("core-security",)), True),
        ("private", bug(), False),
        ("private", bug(readable=False), True),
        ("group:core-*", bug(groups=("core-security",)), True),
        ("status:RESOLVED and resolution:FIXED", bug(status="RESOLVED", resolution="FIXED"), True),
        ("field:status-*=affected", bug(status_flags={"status-esr": "affected"}), True),
        ("field:status-*=affected", bug(status_flags={"status-esr": "unaffected"}), False),
        ('keyword:"two words"', bug("two words"), True),
    ],
)
def test_an_expression_selects(text: str, state: BugState, expected: bool) -> None:
    assert parse(text)(state) is expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "found the end"),
        ("keyword:", "expected keyword:NAME"),
        ("keyword", "expected keyword:NAME"),
        ("colour:red", "expected keyword:NAME"),
        ("keyword:a=b", "expected keyword:NAME"),
        ("field:x", "expected keyword:NAME"),
        ("(keyword:a", "expected )"),
        ("keyword:a)", "found ')'"),
        ("keyword:a keyword:b", "expected and, or, or the end"),
        ("keyword:a and", "found the end"),
        ("and", "found 'and'"),
        ('keyword:"a', "quotation mark"),
        ("(" * 100, "nested deeper"),
        ("not " * 100 + "private", "nested deeper"),
        ("private or " * 1000, "expected at most"),
    ],
)
def test_what_is_no_expression_is_refused_with_what_was_expected(text: str, said: str) -> None:
    with pytest.raises(InputInvalidError) as raised:
        parse(text, what="sensitive")
    assert said in raised.value.message
    assert raised.value.message.startswith("sensitive: ")


@pytest.mark.parametrize(
    ("patches", "reason"),
    [
        ((), "no-live-patch"),
        ((patch(live=False, sec_approval="+"),), "no-live-patch"),
        ((patch(kind="other", sec_approval="+"),), "no-live-patch"),
        ((patch(),), "unapproved"),
        ((patch(sec_approval="?"),), "requested"),
        ((patch(sec_approval="-"),), "denied"),
        ((patch(sec_approval="+"),), "approved"),
        ((patch(kind="request", sec_approval="+"),), "approved"),
        ((patch(1, live=False, sec_approval="+"), patch(2)), "unapproved"),
        ((patch(1, sec_approval="+"), patch(2)), "approved"),
    ],
)
def test_approval_counts_on_a_live_patch_alone(patches: tuple[Patch, ...], reason: str) -> None:
    """D1."""
    found = assess(parse_selectors({}), 7, 3, bug("sec-high", patches=patches))
    assert found.reason == reason
    assert found.blocked is (reason != "approved")
    assert (found.bug, found.seq) == (7, 3)


def test_an_exemption_and_an_unmatched_bug_are_not_sensitive() -> None:
    selectors = parse_selectors({"exempt": "not field:status-*=affected"})
    assert assess(selectors, 7, 1, bug("sec-high")).reason == "exempt"
    affected = bug("sec-high", status_flags={"status-esr": "affected"})
    assert assess(selectors, 7, 1, affected).reason == "no-live-patch"
    assert assess(selectors, 7, 1, bug("sec-low")).says_nothing


def test_an_unrated_private_bug_can_count_like_a_critical_one() -> None:
    selectors = parse_selectors({"sensitive": "keyword:sec-critical or (private and not keyword:sec-*)"})
    assert assess(selectors, 7, 1, bug(groups=("security",))).blocked
    assert not assess(selectors, 7, 1, bug("sec-low", groups=("security",))).blocked


def test_a_bug_that_cannot_be_read_blocks() -> None:
    assert assess(parse_selectors({}), 7, 1, BugState(readable=False)).reason == "unreadable"


def test_uplift_flags_cross_sorted_and_only_if_granted_on_a_live_patch() -> None:
    patches = (
        patch(1, approval_release="+", approval_beta="+"),
        patch(2, approval_esr="?"),
        patch(3, live=False, approval_old="+"),
    )
    found = assess(parse_selectors({}), 7, 1, bug(patches=patches, status="RESOLVED"))
    assert found.uplift == ("approval-beta", "approval-release")
    assert found.closed


def test_unknown_settings_of_selectors_are_refused() -> None:
    with pytest.raises(InputInvalidError, match=r"selectors\.sensitiv"):
        parse_selectors({"sensitiv": "private"})
